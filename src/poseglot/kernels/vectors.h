// Vectors of channels, the one matrix product that everything is made of, and what ends every unit. Everything here has internal
// linkage: a library is one translation unit.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include <omp.h>

#if defined(__AVX512F__)
#define WIDEST 64
#else
#define WIDEST 32
#endif

namespace {

using Int = std::int64_t;

template <typename T, int BYTES> struct Vector {
  typedef T Type __attribute__((vector_size(BYTES)));
  static constexpr int lanes = BYTES / sizeof(T);
};

template <typename T, int BYTES> using Vec = typename Vector<T, BYTES>::Type;

template <typename T, int BYTES> inline Vec<T, BYTES> load(const T *from) {
  Vec<T, BYTES> x;
  std::memcpy(&x, from, BYTES);
  return x;
}

template <typename T, int BYTES> inline void store(T *to, Vec<T, BYTES> x) { std::memcpy(to, &x, BYTES); }

template <typename T, int BYTES> inline Vec<T, BYTES> all(T x) { return x - Vec<T, BYTES>{}; }

// NaN is kept, so that a training that diverges shows it.
template <typename T, int BYTES> inline Vec<T, BYTES> larger(Vec<T, BYTES> x, Vec<T, BYTES> y) { return x < y ? y : x; }

// ---------------------------------------------------------------------------------------------------------------------------------
// out[i][j] (+)= sum over k2, k1 of a[i][k2][k1] * b[k2][k1][j], where j counts vectors. `a` holds scalars (BROADCAST: an ordinary
// matrix product) or vectors (a product for every lane).

struct Strides { // in elements
  Int out_i, out_j, a_i, a_k2, a_k1, b_k2, b_k1, b_j;
};

template <typename T, int BYTES, bool BROADCAST, int I, int J>
inline void tile(T *out, const T *a, const T *b, Int k2, Int k1, const Strides &s, bool add) {
  Vec<T, BYTES> sum[I][J];
  for (int i = 0; i < I; ++i)
    for (int j = 0; j < J; ++j) sum[i][j] = add ? load<T, BYTES>(out + i * s.out_i + j * s.out_j) : Vec<T, BYTES>{};
  for (Int outer = 0; outer < k2; ++outer) {
    const T *from_a = a + outer * s.a_k2, *from_b = b + outer * s.b_k2;
    for (Int inner = 0; inner < k1; ++inner) {
      Vec<T, BYTES> right[J];
      for (int j = 0; j < J; ++j) right[j] = load<T, BYTES>(from_b + j * s.b_j);
      for (int i = 0; i < I; ++i) {
        const Vec<T, BYTES> left = BROADCAST ? all<T, BYTES>(from_a[i * s.a_i]) : load<T, BYTES>(from_a + i * s.a_i);
        for (int j = 0; j < J; ++j) sum[i][j] += left * right[j];
      }
      from_a += s.a_k1;
      from_b += s.b_k1;
    }
  }
  for (int i = 0; i < I; ++i)
    for (int j = 0; j < J; ++j) store<T, BYTES>(out + i * s.out_i + j * s.out_j, sum[i][j]);
}

// The tile of `rows` rows, as a choice among those compiled.
template <typename T, int BYTES, bool BROADCAST, int I, int J>
inline void tile_of(Int rows, T *out, const T *a, const T *b, Int k2, Int k1, const Strides &s, bool add) {
  if (rows >= I)
    tile<T, BYTES, BROADCAST, I, J>(out, a, b, k2, k1, s, add);
  else if constexpr (I > 1)
    tile_of<T, BYTES, BROADCAST, I - 1, J>(rows, out, a, b, k2, k1, s, add);
}

constexpr int REGISTERS = WIDEST == 64 ? 24 : 12; // for sums; the rest of the machine's 16 or 32 holds what is multiplied

// A strip of J columns, as many rows at a time as there are registers for.
template <typename T, int BYTES, bool BROADCAST, int J>
inline void strip(Int i, Int k2, Int k1, T *out, const T *a, const T *b, const Strides &s, bool add) {
  constexpr int I = REGISTERS / J;
  for (Int row = 0; row < i; row += I)
    tile_of<T, BYTES, BROADCAST, I, J>(i - row, out + row * s.out_i, a + row * s.a_i, b, k2, k1, s, add);
}

// The columns' strips one after another, within blocks of rows that stay in the nearest cache.
template <typename T, int BYTES, bool BROADCAST>
void multiply(Int i, Int j, Int k2, Int k1, T *out, const T *a, const T *b, const Strides &s, bool add) {
  constexpr Int ROWS = REGISTERS; // of a block: whole tiles, whatever the strip
  for (Int row = 0; row < i; row += ROWS) {
    const Int rows = std::min(ROWS, i - row);
    T *to = out + row * s.out_i;
    const T *from = a + row * s.a_i;
    for (Int column = 0; column < j;) {
      T *here = to + column * s.out_j;
      const T *right = b + column * s.b_j;
      const Int left = j - column;
      if (left == 1)
        strip<T, BYTES, BROADCAST, 1>(rows, k2, k1, here, from, right, s, add), column += 1;
      else if (left == 3)
        strip<T, BYTES, BROADCAST, 3>(rows, k2, k1, here, from, right, s, add), column += 3;
      else
        strip<T, BYTES, BROADCAST, 2>(rows, k2, k1, here, from, right, s, add), column += 2;
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------------------
// Mean and summed squared deviation of each channel over `rows` rows: (C, 2). Two passes over what has just been written.

template <typename T, int BYTES> void moments_of(const T *x, Int rows, Int stride, Int channels, T *out) {
  constexpr int L = Vector<T, BYTES>::lanes;
  for (Int c = 0; c < channels; c += L) {
    Vec<T, BYTES> sum{}, square{};
    for (Int row = 0; row < rows; ++row) sum += load<T, BYTES>(x + row * stride + c);
    const Vec<T, BYTES> mean = sum / T(rows);
    for (Int row = 0; row < rows; ++row) {
      const Vec<T, BYTES> off = load<T, BYTES>(x + row * stride + c) - mean;
      square += off * off;
    }
    for (int lane = 0; lane < L; ++lane) {
      out[(c + lane) * 2] = mean[lane];
      out[(c + lane) * 2 + 1] = square[lane];
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------------------
// The end of a unit: relu(x * scale + shift + residual), where the residual may have a scale and shift of its own. Scale and shift are
// those of a BatchNorm. Null pointers leave a part out; without `scale` there is no epilogue at all.

template <typename T> struct Epilogue {
  const T *scale, *shift, *residual;
  Int stride; // of a row of the residual
  const T *residual_scale, *residual_shift;
  explicit operator bool() const { return scale; }
};

// The epilogue for one vector of channels.
template <typename T, int BYTES> struct Finish {
  Vec<T, BYTES> scale, shift, residual_scale{}, residual_shift{};
  const T *residual;
  Int stride;
  bool scaled;

  Finish(const Epilogue<T> &e, Int c)
      : scale(load<T, BYTES>(e.scale + c)), shift(load<T, BYTES>(e.shift + c)), residual(e.residual ? e.residual + c : nullptr),
        stride(e.stride), scaled(e.residual_scale) {
    if (scaled) residual_scale = load<T, BYTES>(e.residual_scale + c), residual_shift = load<T, BYTES>(e.residual_shift + c);
  }

  Vec<T, BYTES> operator()(Vec<T, BYTES> x, Int row) const {
    x = x * scale + shift;
    if (residual) {
      const Vec<T, BYTES> other = load<T, BYTES>(residual + row * stride);
      x += scaled ? other * residual_scale + residual_shift : other;
    }
    return larger<T, BYTES>(x, Vec<T, BYTES>{});
  }
};

// ---------------------------------------------------------------------------------------------------------------------------------
// Adds the sums of the threads, in their order.
template <typename T> void add_up(const std::vector<std::vector<T>> &parts, T *out) {
  for (std::size_t place = 0; place < parts.front().size(); ++place) {
    T sum = 0;
    for (const auto &part : parts) sum += part[place];
    out[place] = sum;
  }
}

} // namespace
