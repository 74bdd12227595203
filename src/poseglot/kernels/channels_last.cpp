// CTR-GCN's blocks on a CPU. Called by channels_last.py through ctypes; compiled on first use by native.py.
//
// Memory order: (B, frames, joints, channels), so that one vector holds neighbouring channels of a joint. A topology per channel is then
// an elementwise product of vectors, whatever the number of joints; a 1x1 convolution is one matrix product (left to torch); the scale and
// shift of BatchNorm are vectors.
//
//   aggregate  refines the topologies of a few channels in the cache, aggregates along them, and discards them
//   temporal   BatchNorm and ReLU of the entry, both dilated convolutions, max-pool and the fourth branch, in one pass over a clip
//   normalize  BatchNorm's scale and shift, residual, ReLU
//
// and their gradients. Every product is one routine, `multiply`. One thread works on one clip, and sums over clips are added in the order
// of the threads: results repeat bit for bit with the same number of threads.
//
// Sizes: B clips times people, F frames in, G frames out, V joints, C channels, S subsets, R reduced channels, Q = C / 4. A "row" is one
// (frame, joint).

#include "aggregate.h"
#include "temporal.h"
#include "vectors.h"

namespace {

// normalize: the epilogue by itself, and its gradient.

struct Rows {
  Int B, rows, C;
};

template <typename T, int BYTES> void normalize(const Rows &n, const T *x, const Epilogue<T> &end, T *out) {
  constexpr int L = Vector<T, BYTES>::lanes;
#pragma omp parallel for schedule(static)
  for (Int row = 0; row < n.B * n.rows; ++row)
    for (Int c = 0; c < n.C; c += L)
      store<T, BYTES>(out + row * n.C + c, Finish<T, BYTES>(end, c)(load<T, BYTES>(x + row * n.C + c), row));
}

// sums (B, C, 3): of the gradient that ReLU lets through, of it times normalized x, of it times the normalized residual.
template <typename T, int BYTES>
void sums_of(const Rows &n, const T *d_out, const T *out, const T *x, const T *mean, const T *inverse, const T *residual,
                    const T *residual_mean, const T *residual_inverse, T *sums) {
  constexpr int L = Vector<T, BYTES>::lanes;
#pragma omp parallel for schedule(static)
  for (Int b = 0; b < n.B; ++b)
    for (Int c = 0; c < n.C; c += L) {
      const Vec<T, BYTES> zero{}, centre = load<T, BYTES>(mean + c), scaled = load<T, BYTES>(inverse + c);
      const Vec<T, BYTES> other_centre = residual_mean ? load<T, BYTES>(residual_mean + c) : zero;
      const Vec<T, BYTES> other_scaled = residual_mean ? load<T, BYTES>(residual_inverse + c) : zero;
      Vec<T, BYTES> sum{}, product{}, other{};
      for (Int row = 0; row < n.rows; ++row) {
        const Int here = (b * n.rows + row) * n.C + c;
        const Vec<T, BYTES> g = load<T, BYTES>(out + here) > zero ? load<T, BYTES>(d_out + here) : zero;
        sum += g;
        product += g * ((load<T, BYTES>(x + here) - centre) * scaled);
        if (residual_mean) other += g * ((load<T, BYTES>(residual + here) - other_centre) * other_scaled);
      }
      for (int lane = 0; lane < L; ++lane) {
        T *to = sums + (b * n.C + c + lane) * 3;
        to[0] = sum[lane], to[1] = product[lane], to[2] = other[lane];
      }
    }
}

// d_x = g * by[0] + x * by[1] + by[2] (by: 3 rows of C), and the same for the residual with by[3..5]; without by[3..5] d_residual is g.
// `out` null: g is d_out as it is. Strides are of x, d_x and d_out where `out` is null.
template <typename T, int BYTES>
void normalize_back(const Rows &n, const T *d_out, const T *out, const T *x, const T *by, Int stride, T *d_x, const T *residual,
                    bool scaled, T *d_residual) {
  constexpr int L = Vector<T, BYTES>::lanes;
#pragma omp parallel for schedule(static)
  for (Int row = 0; row < n.B * n.rows; ++row)
    for (Int c = 0; c < n.C; c += L) {
      const Int here = row * stride + c;
      const Vec<T, BYTES> zero{};
      Vec<T, BYTES> g = load<T, BYTES>(d_out + here);
      if (out) g = load<T, BYTES>(out + here) > zero ? g : zero;
      store<T, BYTES>(d_x + here, g * load<T, BYTES>(by + c) + load<T, BYTES>(x + here) * load<T, BYTES>(by + n.C + c) +
                                      load<T, BYTES>(by + 2 * n.C + c));
      if (d_residual)
        store<T, BYTES>(d_residual + here,
                        scaled ? g * load<T, BYTES>(by + 3 * n.C + c) +
                                     load<T, BYTES>(residual + here) * load<T, BYTES>(by + 4 * n.C + c) +
                                     load<T, BYTES>(by + 5 * n.C + c)
                               : g);
    }
}

template <typename T, int BYTES> void moments_of_clips(const Rows &n, const T *x, Int stride, T *out) {
#pragma omp parallel for schedule(static)
  for (Int b = 0; b < n.B; ++b) moments_of<T, BYTES>(x + b * n.rows * stride, n.rows, stride, n.C, out + b * n.C * 2);
}

} // namespace

// ---------------------------------------------------------------------------------------------------------------------------------
// What channels_last.py calls, compiled for one type of number. Every count of channels, and R, fills whole vectors of `bytes`, one of
// 16, 32 and `widest()`.

#ifndef NUMBER
#define NUMBER float
#endif

template <typename Function> static void with_vectors(Int bytes, Function function) {
  if (bytes == 16) function(std::integral_constant<int, 16>{});
  if (bytes == 32) function(std::integral_constant<int, 32>{});
  if constexpr (WIDEST == 64)
    if (bytes == 64) function(std::integral_constant<int, 64>{});
}

using N = NUMBER;

extern "C" {

Int widest() { return WIDEST; }

void aggregate_forward(Int bytes, Int B, Int F, Int V, Int I, Int C, Int S, Int R, const N *x, const N *value_weight,
                       const N *value_bias, const N *relation, const N *weight, const N *bias, const N *adjacency, N *out, N *values,
                       N *moments, const N *scale, const N *shift, const N *residual, Int stride, const N *residual_scale,
                       const N *residual_shift) {
  with_vectors(bytes, [&](auto width) {
    aggregate<N, width()>({B, F, V, I, C, S, R}, x, value_weight, value_bias, relation, weight, bias, adjacency, out, values, moments,
                          {scale, shift, residual, stride, residual_scale, residual_shift});
  });
}

void aggregate_backward(Int bytes, Int B, Int F, Int V, Int I, Int C, Int S, Int R, const N *d_out, const N *x, const N *values,
                      const N *turned_value, const N *relation, const N *weight, const N *turned, const N *bias, const N *adjacency,
                      N *d_x, N *d_value_weight, N *d_value_bias, N *d_relation, N *d_weight, N *d_bias, N *d_adjacency) {
  with_vectors(bytes, [&](auto width) {
    aggregate_back<N, width()>({B, F, V, I, C, S, R}, d_out, x, values, turned_value, relation, weight, turned, bias, adjacency, d_x,
                             d_value_weight, d_value_bias, d_relation, d_weight, d_bias, d_adjacency);
  });
}

void temporal_forward(Int bytes, Int B, Int F, Int G, Int V, Int Q, Int stride, Int entry_stride, Int point_stride, Int parts,
                      const N *entry, const N *scale, const N *shift, const N *narrow, const N *wide, const N *point, N *out,
                      N *moments, const N *out_scale, const N *out_shift, const N *residual, Int residual_stride,
                      const N *residual_scale, const N *residual_shift) {
  with_vectors(bytes, [&](auto width) {
    temporal<N, width()>({B, F, G, V, Q, stride, entry_stride, point_stride, parts}, entry, scale, shift, narrow, wide, point, out,
                         moments, {out_scale, out_shift, residual, residual_stride, residual_scale, residual_shift});
  });
}

void temporal_backward(Int bytes, Int B, Int F, Int G, Int V, Int Q, Int stride, Int entry_stride, Int point_stride, const N *d_out,
                       const N *entry, const N *scale, const N *shift, const N *mean, const N *inverse, const N *turned_narrow,
                       const N *turned_wide, N *d_entry, N *d_point, N *d_narrow, N *d_wide, N *sums) {
  with_vectors(bytes, [&](auto width) {
    temporal_back<N, width()>({B, F, G, V, Q, stride, entry_stride, point_stride, 1}, d_out, entry, scale, shift, mean, inverse,
                              turned_narrow, turned_wide, d_entry, d_point, d_narrow, d_wide, sums);
  });
}

void normalize_forward(Int bytes, Int B, Int rows, Int C, const N *x, N *out, const N *scale, const N *shift, const N *residual,
                       Int stride, const N *residual_scale, const N *residual_shift) {
  with_vectors(bytes, [&](auto width) {
    normalize<N, width()>({B, rows, C}, x, {scale, shift, residual, stride, residual_scale, residual_shift}, out);
  });
}

void normalize_sums(Int bytes, Int B, Int rows, Int C, const N *d_out, const N *out, const N *x, const N *mean, const N *inverse,
                    const N *residual, const N *residual_mean, const N *residual_inverse, N *sums) {
  with_vectors(bytes, [&](auto width) {
    sums_of<N, width()>({B, rows, C}, d_out, out, x, mean, inverse, residual, residual_mean, residual_inverse, sums);
  });
}

void normalize_backward(Int bytes, Int B, Int rows, Int C, const N *d_out, const N *out, const N *x, const N *by, Int stride, N *d_x,
                        const N *residual, Int scaled, N *d_residual) {
  with_vectors(bytes, [&](auto width) {
    normalize_back<N, width()>({B, rows, C}, d_out, out, x, by, stride, d_x, residual, scaled, d_residual);
  });
}

void moments(Int bytes, Int B, Int rows, Int C, const N *x, Int stride, N *out) {
  with_vectors(bytes, [&](auto width) { moments_of_clips<N, width()>({B, rows, C}, x, stride, out); });
}

} // extern "C"
