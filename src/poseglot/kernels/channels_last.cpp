// CTR-GCN's blocks on a CPU: what torch has no good kernel for. Called by rows.py through ctypes; compiled on the spot by native.py.
//
// Everything lies in rows: (B, frames, joints, channels), channels side by side, so that one vector holds neighbouring channels of a
// joint. A channel of its own topology is then an elementwise matter for the lanes of a vector, whatever the number of joints; a 1x1
// convolution is a matrix product of all rows (left to torch); BatchNorm's scale and shift are vectors.
//
//   collect    builds a few channels' refined topologies in the cache, collects along them, and forgets them
//   temporal   BatchNorm and ReLU of the entry, both dilated convolutions, max-pool and the fourth branch, in one pass over a clip
//   normalise  BatchNorm's scale and shift, residual, ReLU
//
// and what each needs to go back. Both products are one routine, `multiply`. A clip is worked on by one thread and sums over clips are
// added up in the order of threads, so results repeat bit for bit with the same number of threads.
//
// Sizes: B clips times people, F frames in, G frames out, V joints, C channels, S subsets, R reduced channels, Q = C / 4.

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

// What is no number stays none, so that a training that diverges says so.
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
// collect: y[t, u, c] = sum over s, v of topology[s, u, v, c] * value[t, v, s, c],
//          topology[s, u, v, c] = adjacency[s, u, v] + bias[s, c] + sum over r of relation[s, u, v, r] * weight[s, r, c],
//          value[t, v, s, c] = value_bias[s, c] + sum over i of x[t, v, i] * value_weight[s, c, i].
// A panel is what one vector of channels needs: topology (V, V, S, lanes), value (F, V, S, lanes), y (F, V, lanes). Weights of the values
// come in panels, too: value_weight (C / lanes, I, S, lanes), value_bias (C / lanes, S, lanes).

struct Graph {
  Int B, F, V, I, C, S, R;
};

template <typename T, int BYTES> struct Panel {
  static constexpr int L = Vector<T, BYTES>::lanes;
  const Graph &g;
  const Int row = g.S * L, rows = g.F * g.V; // of topology and value: (S, lanes)
  std::vector<T> topology = std::vector<T>(g.V * g.V * row), y = std::vector<T>(rows * L);

  void refine(const T *relation, const T *weight, const T *bias, const T *adjacency, Int c) {
    for (Int s = 0; s < g.S; ++s) {
      const Vec<T, BYTES> constant = load<T, BYTES>(bias + s * g.C + c);
      T *to = topology.data() + s * L;
      const T *given = adjacency + s * g.V * g.V;
      for (Int place = 0; place < g.V * g.V; ++place) store<T, BYTES>(to + place * row, constant + given[place]);
      multiply<T, BYTES, true>(g.V * g.V, 1, 1, g.R, to, relation + s * g.V * g.V * g.R, weight + s * g.R * g.C + c,
                               {row, 0, g.R, 0, 1, 0, g.C, 0}, true);
    }
  }

  void make_value(const T *x, const T *weight, const T *bias, T *value) const {
    for (Int place = 0; place < rows; ++place) std::memcpy(value + place * row, bias, row * sizeof(T));
    multiply<T, BYTES, true>(rows, g.S, 1, g.I, value, x, weight, {row, L, g.I, 0, 1, 0, row, L}, true);
  }

  void collect(const T *value) {
    multiply<T, BYTES, false>(g.F, g.V, 1, g.V * g.S, y.data(), value, topology.data(),
                              {g.V * L, L, g.V * row, 0, L, 0, L, g.V * row}, false);
  }
};

// `values` (B, C / lanes, F V, S, lanes) keeps the values for the way back (null: not wanted). `shift`, `residual`: the end of a graph
// unit at test time, y + shift + residual through ReLU (null: not there).
template <typename T, int BYTES>
void collect(const Graph &g, const T *x, const T *value_weight, const T *value_bias, const T *relation, const T *weight, const T *bias,
             const T *adjacency, T *out, T *values, T *moments, const T *shift, const T *residual, Int residual_stride) {
  constexpr int L = Vector<T, BYTES>::lanes;
  const Int rows = g.F * g.V, panels = g.C / L;
#pragma omp parallel
  {
    Panel<T, BYTES> p{g};
    std::vector<T> own(values ? 0 : rows * p.row);
#pragma omp for schedule(static)
    for (Int task = 0; task < g.B * panels; ++task) {
      const Int b = task / panels, panel = task % panels, c = panel * L;
      T *value = values ? values + task * rows * p.row : own.data();
      p.make_value(x + b * rows * g.I, value_weight + panel * g.I * p.row, value_bias + panel * p.row, value);
      p.refine(relation + b * g.S * g.V * g.V * g.R, weight, bias, adjacency, c);
      p.collect(value);
      if (moments) moments_of<T, BYTES>(p.y.data(), rows, L, L, moments + (b * g.C + c) * 2);
      T *to = out + b * rows * g.C + c;
      if (shift) {
        const Vec<T, BYTES> constant = load<T, BYTES>(shift + c), zero{};
        const T *other = residual + b * rows * residual_stride + c;
        for (Int place = 0; place < rows; ++place) {
          const Vec<T, BYTES> sum =
              load<T, BYTES>(p.y.data() + place * L) + constant + load<T, BYTES>(other + place * residual_stride);
          store<T, BYTES>(to + place * g.C, larger<T, BYTES>(sum, zero));
        }
      } else
        for (Int place = 0; place < rows; ++place) store<T, BYTES>(to + place * g.C, load<T, BYTES>(p.y.data() + place * L));
    }
  }
}

// Adds up what each thread has summed, in their order.
template <typename T> void add_up(const std::vector<std::vector<T>> &parts, T *out) {
  for (std::size_t place = 0; place < parts.front().size(); ++place) {
    T sum = 0;
    for (const auto &part : parts) sum += part[place];
    out[place] = sum;
  }
}

// `turned` weights have their last two axes exchanged: weight (S, C, R), value_weight (C / lanes, S, lanes, I).
template <typename T, int BYTES>
void collect_back(const Graph &g, const T *d_out, const T *x, const T *values, const T *turned_value, const T *relation, const T *weight,
                  const T *turned, const T *bias, const T *adjacency, T *d_x, T *d_value_weight, T *d_value_bias, T *d_relation,
                  T *d_weight, T *d_bias, T *d_adjacency) {
  constexpr int L = Vector<T, BYTES>::lanes;
  const Int rows = g.F * g.V, square = g.V * g.V, panels = g.C / L;
  const int threads = omp_get_max_threads();
  const auto sums = [&](Int size) { return std::vector<std::vector<T>>(threads, std::vector<T>(size, T(0))); };
  auto value_weights = sums(g.C * g.S * g.I), value_biases = sums(g.C * g.S), weights = sums(g.S * g.R * g.C), biases = sums(g.S * g.C),
       adjacencies = sums(g.S * square);
#pragma omp parallel num_threads(threads)
  {
    const int thread = omp_get_thread_num();
    Panel<T, BYTES> p{g};
    std::vector<T> d_value(rows * p.row), d_topology(square * p.row), lanes(square * p.row, T(0));
#pragma omp for schedule(static)
    for (Int b = 0; b < g.B; ++b) {
      const T *related = relation + b * g.S * square * g.R, *from = x + b * rows * g.I;
      T *d_related = d_relation + b * g.S * square * g.R, *to = d_x + b * rows * g.I;
      std::fill_n(d_related, g.S * square * g.R, T(0));
      std::fill_n(to, rows * g.I, T(0));
      for (Int panel = 0; panel < panels; ++panel) {
        const Int c = panel * L;
        const T *value = values + (b * panels + panel) * rows * p.row;
        for (Int place = 0; place < rows; ++place)
          store<T, BYTES>(p.y.data() + place * L, load<T, BYTES>(d_out + (b * rows + place) * g.C + c));
        p.refine(related, weight, bias, adjacency, c);
        // To the values, over u; from there to x and their weights.
        multiply<T, BYTES, false>(g.F, g.V * g.S, 1, g.V, d_value.data(), p.y.data(), p.topology.data(),
                                  {g.V * p.row, L, g.V * L, 0, L, 0, g.V * p.row, L}, false);
        multiply<T, BYTES, true>(rows, g.I / L, 1, p.row, to, d_value.data(), turned_value + panel * p.row * g.I,
                                 {g.I, L, p.row, 0, 1, 0, g.I, L}, true);
        T *sum_weight = value_weights[thread].data() + panel * g.I * p.row, *sum_bias = value_biases[thread].data() + panel * p.row;
        for (Int first = 0; first < rows; first += 64) // as many rows as stay in the nearest cache
          multiply<T, BYTES, true>(g.I, g.S, 1, std::min(Int(64), rows - first), sum_weight, from + first * g.I,
                                   d_value.data() + first * p.row, {p.row, L, 1, 0, g.I, 0, p.row, L}, true);
        for (Int s = 0; s < g.S; ++s) {
          Vec<T, BYTES> sum = load<T, BYTES>(sum_bias + s * L);
          for (Int place = 0; place < rows; ++place) sum += load<T, BYTES>(d_value.data() + place * p.row + s * L);
          store<T, BYTES>(sum_bias + s * L, sum);
        }
        // To the topology, over frames; from there to what it was refined from.
        multiply<T, BYTES, false>(g.V, g.V * g.S, 1, g.F, d_topology.data(), p.y.data(), value,
                                  {g.V * p.row, L, L, 0, g.V * L, 0, g.V * p.row, L}, false);
        for (Int s = 0; s < g.S; ++s) {
          const T *gradient = d_topology.data() + s * L;
          T *constant = biases[thread].data() + s * g.C + c, *sum = lanes.data() + s * L;
          Vec<T, BYTES> total = load<T, BYTES>(constant);
          for (Int place = 0; place < square * p.row; place += p.row) {
            total += load<T, BYTES>(gradient + place);
            store<T, BYTES>(sum + place, load<T, BYTES>(sum + place) + load<T, BYTES>(gradient + place));
          }
          store<T, BYTES>(constant, total);
          multiply<T, BYTES, true>(square, g.R / L, 1, L, d_related + s * square * g.R, gradient, turned + (s * g.C + c) * g.R,
                                   {g.R, L, p.row, 0, 1, 0, g.R, L}, true);
          multiply<T, BYTES, true>(g.R, 1, 1, square, weights[thread].data() + s * g.R * g.C + c, related + s * square * g.R, gradient,
                                   {g.C, 0, 1, 0, g.R, 0, p.row, 0}, true);
        }
      }
    }
    for (Int s = 0; s < g.S; ++s)
      for (Int place = 0; place < square; ++place)
        for (int lane = 0; lane < L; ++lane) adjacencies[thread][s * square + place] += lanes[place * p.row + s * L + lane];
  }
  add_up(value_weights, d_value_weight);
  add_up(value_biases, d_value_bias);
  add_up(weights, d_weight);
  add_up(biases, d_bias);
  add_up(adjacencies, d_adjacency);
}

// ---------------------------------------------------------------------------------------------------------------------------------
// temporal: a block's rows `entry` (B, F, V, stride >= 3 Q), before BatchNorm, to (B, G, V, 4 Q), before BatchNorm: the convolutions
// with dilation 1 and 2, the max-pool, and `point`, copied. Weights are (taps, Q in, Q out).

constexpr Int TAPS = 5, HALO = 4; // frames that the wider convolution sees on either side

struct Temporal {
  Int B, F, G, V, Q, stride, entry_stride, point_stride, parts;
};

// relu(entry * scale + shift) of frames from first - HALO on, zero where there is no frame: nothing is below zero after ReLU, so zero
// is as good as nothing for the max-pool, too. Without scale, relu(entry).
template <typename T, int BYTES>
void activate(const Temporal &t, const T *entry, const T *scale, const T *shift, Int first, Int frames, T *out) {
  constexpr int L = Vector<T, BYTES>::lanes;
  const Int width = 3 * t.Q;
  for (Int frame = first; frame < first + frames; ++frame, out += t.V * width) {
    if (frame < 0 || frame >= t.F) {
      std::fill(out, out + t.V * width, T(0));
      continue;
    }
    for (Int v = 0; v < t.V; ++v) {
      const T *from = entry + (frame * t.V + v) * t.entry_stride;
      for (Int c = 0; c < width; c += L) {
        Vec<T, BYTES> x = load<T, BYTES>(from + c);
        if (scale) x = x * load<T, BYTES>(scale + c) + load<T, BYTES>(shift + c);
        store<T, BYTES>(out + v * width + c, larger<T, BYTES>(x, Vec<T, BYTES>{}));
      }
    }
  }
}

// The place, in what `activate` wrote, of what a tap sees for output frame 0 when output frame 0 is centred `HALO` frames in.
inline Int seen(const Temporal &t, Int dilation) { return (HALO - 2 * dilation) * t.V * 3 * t.Q; }

// `out_scale`, `out_shift`, `residual`: the end of a block at test time, out * scale + shift + residual through ReLU (null: not there).
template <typename T, int BYTES>
void temporal(const Temporal &t, const T *entry, const T *scale, const T *shift, const T *narrow, const T *wide, const T *point, T *out,
              T *moments, const T *out_scale, const T *out_shift, const T *residual, Int residual_stride) {
  constexpr int L = Vector<T, BYTES>::lanes;
  const Int width = 3 * t.Q, channels = 4 * t.Q, part = (t.G + t.parts - 1) / t.parts;
#pragma omp parallel
  {
    std::vector<T> seen_by((((part - 1) * t.stride + 1) + 2 * HALO) * t.V * width);
#pragma omp for schedule(static)
    for (Int task = 0; task < t.B * t.parts; ++task) {
      const Int b = task / t.parts, begin = task % t.parts * part, frames = std::min(part, t.G - begin);
      if (frames <= 0) continue;
      T *h = seen_by.data();
      activate<T, BYTES>(t, entry + b * t.F * t.V * t.entry_stride, scale, shift, begin * t.stride - HALO,
                         (frames - 1) * t.stride + 1 + 2 * HALO, h);
      T *to = out + (b * t.G + begin) * t.V * channels;
      for (Int branch = 0; branch < 2; ++branch) {
        const Int dilation = branch + 1;
        const Strides strides{channels, L, width, dilation * t.V * width, 1, t.Q * t.Q, t.Q, L};
        // Rows of neighbouring frames follow one another, unless frames are left out.
        const Int together = t.stride == 1 ? frames : 1;
        for (Int frame = 0; frame < frames; frame += together)
          multiply<T, BYTES, true>(together * t.V, t.Q / L, TAPS, t.Q, to + frame * t.V * channels + branch * t.Q,
                                   h + seen(t, dilation) + frame * t.stride * t.V * width + branch * t.Q, branch ? wide : narrow,
                                   strides, false);
      }
      const T *other = point + (b * t.G + begin) * t.V * t.point_stride;
      for (Int row = 0; row < frames * t.V; ++row) {
        const T *middle = h + ((HALO + row / t.V * t.stride) * t.V + row % t.V) * width + 2 * t.Q;
        for (Int c = 0; c < t.Q; c += L) {
          const Vec<T, BYTES> before = load<T, BYTES>(middle - t.V * width + c), after = load<T, BYTES>(middle + t.V * width + c);
          store<T, BYTES>(to + row * channels + 2 * t.Q + c,
                          larger<T, BYTES>(larger<T, BYTES>(before, load<T, BYTES>(middle + c)), after));
          store<T, BYTES>(to + row * channels + 3 * t.Q + c, load<T, BYTES>(other + row * t.point_stride + c));
        }
      }
      if (moments) moments_of<T, BYTES>(to, frames * t.V, channels, channels, moments + b * channels * 2);
      if (out_scale)
        for (Int row = 0; row < frames * t.V; ++row)
          for (Int c = 0; c < channels; c += L) {
            T *here = to + row * channels + c;
            Vec<T, BYTES> x = load<T, BYTES>(here) * load<T, BYTES>(out_scale + c) + load<T, BYTES>(out_shift + c);
            if (residual) x += load<T, BYTES>(residual + ((b * t.G + begin) * t.V + row) * residual_stride + c);
            store<T, BYTES>(here, larger<T, BYTES>(x, Vec<T, BYTES>{}));
          }
    }
  }
}

// d_entry becomes the gradient behind the entry's BatchNorm, that is relu'd, and `sums` (B, 3 Q, 2) the sums, for each clip and channel,
// of it and of it times the normalised entry: what BatchNorm needs to go back. d_point is a copy. Turned weights are (taps, out, in).
template <typename T, int BYTES>
void temporal_back(const Temporal &t, const T *d_out, const T *entry, const T *scale, const T *shift, const T *mean, const T *inverse,
                   const T *turned_narrow, const T *turned_wide, T *d_entry, T *d_point, T *d_narrow, T *d_wide, T *sums) {
  constexpr int L = Vector<T, BYTES>::lanes;
  const Int width = 3 * t.Q, channels = 4 * t.Q, all_taps = TAPS * t.Q * t.Q, padded = t.F + 2 * HALO;
  const int threads = omp_get_max_threads();
  std::vector<std::vector<T>> narrows(threads, std::vector<T>(all_taps, 0)), wides(narrows);
#pragma omp parallel num_threads(threads)
  {
    const int thread = omp_get_thread_num();
    // d: gradients of both convolutions, at the frames of the entry (zero between, if frames are left out) and zero outside.
    std::vector<T> h(padded * t.V * width), d(padded * t.V * 2 * t.Q, 0), d_h(padded * t.V * width);
#pragma omp for schedule(static)
    for (Int b = 0; b < t.B; ++b) {
      const T *from = d_out + b * t.G * t.V * channels, *before = entry + b * t.F * t.V * t.entry_stride;
      activate<T, BYTES>(t, before, scale, shift, -HALO, padded, h.data());
      for (Int row = 0; row < t.G * t.V; ++row)
        std::memcpy(d.data() + ((HALO + row / t.V * t.stride) * t.V + row % t.V) * 2 * t.Q, from + row * channels,
                    2 * t.Q * sizeof(T));
      for (Int branch = 0; branch < 2; ++branch) {
        const Int dilation = branch + 1;
        // Tap k of frame f was seen by the frame 2 - k dilations on.
        multiply<T, BYTES, true>(t.F * t.V, t.Q / L, TAPS, t.Q, d_h.data() + HALO * t.V * width + branch * t.Q,
                                 d.data() + (HALO + 2 * dilation) * t.V * 2 * t.Q + branch * t.Q,
                                 branch ? turned_wide : turned_narrow,
                                 {width, L, 2 * t.Q, -dilation * t.V * 2 * t.Q, 1, t.Q * t.Q, t.Q, L}, false);
        T *weights = (branch ? wides : narrows)[thread].data();
        for (Int frame = 0; frame < t.G; frame += 4) // as many as stay in the nearest cache
          for (Int tap = 0; tap < TAPS; ++tap)
            multiply<T, BYTES, true>(t.Q, t.Q / L, std::min(Int(4), t.G - frame), t.V, weights + tap * t.Q * t.Q,
                                     h.data() + seen(t, dilation) + (tap * dilation + frame * t.stride) * t.V * width + branch * t.Q,
                                     from + frame * t.V * channels + branch * t.Q,
                                     {t.Q, L, 1, t.stride * t.V * width, width, t.V * channels, channels, L}, true);
      }
      for (Int row = 0; row < padded * t.V; ++row) std::fill_n(d_h.data() + row * width + 2 * t.Q, t.Q, T(0));
      for (Int row = 0; row < t.G * t.V; ++row) {
        const Int middle = ((HALO + row / t.V * t.stride) * t.V + row % t.V) * width + 2 * t.Q, step = t.V * width;
        for (Int c = 0; c < t.Q; c += L) {
          const Vec<T, BYTES> zero{}, g = load<T, BYTES>(from + row * channels + 2 * t.Q + c);
          const Vec<T, BYTES> x[3] = {load<T, BYTES>(h.data() + middle - step + c), load<T, BYTES>(h.data() + middle + c),
                                      load<T, BYTES>(h.data() + middle + step + c)};
          // The first of the largest has it all.
          const auto first = (x[0] >= x[1]) & (x[0] >= x[2]), second = ~first & (x[1] >= x[2]);
          const Vec<T, BYTES> shares[3] = {first ? g : zero, second ? g : zero, (first | second) ? zero : g};
          for (int place = 0; place < 3; ++place) {
            T *to = d_h.data() + middle + (place - 1) * step + c;
            store<T, BYTES>(to, load<T, BYTES>(to) + shares[place]);
          }
          store<T, BYTES>(d_point + (b * t.G * t.V + row) * t.point_stride + c, load<T, BYTES>(from + row * channels + 3 * t.Q + c));
        }
      }
      T *to = d_entry + b * t.F * t.V * t.entry_stride, *total = sums + b * width * 2;
      for (Int c = 0; c < width; c += L) {
        Vec<T, BYTES> sum{}, product{};
        const Vec<T, BYTES> zero{}, centre = load<T, BYTES>(mean + c), scaled = load<T, BYTES>(inverse + c);
        for (Int row = 0; row < t.F * t.V; ++row) {
          const Int here = (HALO * t.V + row) * width + c;
          const Vec<T, BYTES> g = load<T, BYTES>(h.data() + here) > zero ? load<T, BYTES>(d_h.data() + here) : zero;
          sum += g;
          product += g * ((load<T, BYTES>(before + row * t.entry_stride + c) - centre) * scaled);
          store<T, BYTES>(to + row * t.entry_stride + c, g);
        }
        for (int lane = 0; lane < L; ++lane) {
          total[(c + lane) * 2] = sum[lane];
          total[(c + lane) * 2 + 1] = product[lane];
        }
      }
    }
  }
  add_up(narrows, d_narrow);
  add_up(wides, d_wide);
}

// ---------------------------------------------------------------------------------------------------------------------------------
// normalise: relu(x * scale + shift + residual * residual_scale + residual_shift); without residual_scale the residual as it is.

struct Rows {
  Int B, rows, C;
};

template <typename T, int BYTES>
void normalise(const Rows &n, const T *x, const T *scale, const T *shift, const T *residual, const T *residual_scale,
               const T *residual_shift, T *out) {
  constexpr int L = Vector<T, BYTES>::lanes;
#pragma omp parallel for schedule(static)
  for (Int row = 0; row < n.B * n.rows; ++row)
    for (Int c = 0; c < n.C; c += L) {
      const Int here = row * n.C + c;
      Vec<T, BYTES> y = load<T, BYTES>(x + here) * load<T, BYTES>(scale + c) + load<T, BYTES>(shift + c);
      if (residual_scale)
        y += load<T, BYTES>(residual + here) * load<T, BYTES>(residual_scale + c) + load<T, BYTES>(residual_shift + c);
      else if (residual)
        y += load<T, BYTES>(residual + here);
      store<T, BYTES>(out + here, larger<T, BYTES>(y, Vec<T, BYTES>{}));
    }
}

// sums (B, C, 3): of the gradient that ReLU lets through, of it times normalised x, of it times the normalised residual.
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
void normalise_back(const Rows &n, const T *d_out, const T *out, const T *x, const T *by, Int stride, T *d_x, const T *residual,
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
// What rows.py calls, compiled for one type of number. Every count of channels, and R, fills whole vectors of `bytes`, one of
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

void collect_forward(Int bytes, Int B, Int F, Int V, Int I, Int C, Int S, Int R, const N *x, const N *value_weight, const N *value_bias,
                     const N *relation, const N *weight, const N *bias, const N *adjacency, N *out, N *values, N *moments,
                     const N *shift, const N *residual, Int residual_stride) {
  with_vectors(bytes, [&](auto width) {
    collect<N, width()>({B, F, V, I, C, S, R}, x, value_weight, value_bias, relation, weight, bias, adjacency, out, values, moments, shift,
                        residual, residual_stride);
  });
}

void collect_backward(Int bytes, Int B, Int F, Int V, Int I, Int C, Int S, Int R, const N *d_out, const N *x, const N *values,
                      const N *turned_value, const N *relation, const N *weight, const N *turned, const N *bias, const N *adjacency,
                      N *d_x, N *d_value_weight, N *d_value_bias, N *d_relation, N *d_weight, N *d_bias, N *d_adjacency) {
  with_vectors(bytes, [&](auto width) {
    collect_back<N, width()>({B, F, V, I, C, S, R}, d_out, x, values, turned_value, relation, weight, turned, bias, adjacency, d_x,
                             d_value_weight, d_value_bias, d_relation, d_weight, d_bias, d_adjacency);
  });
}

void temporal_forward(Int bytes, Int B, Int F, Int G, Int V, Int Q, Int stride, Int entry_stride, Int point_stride, Int parts,
                      const N *entry, const N *scale, const N *shift, const N *narrow, const N *wide, const N *point, N *out,
                      N *moments, const N *out_scale, const N *out_shift, const N *residual, Int residual_stride) {
  with_vectors(bytes, [&](auto width) {
    temporal<N, width()>({B, F, G, V, Q, stride, entry_stride, point_stride, parts}, entry, scale, shift, narrow, wide, point, out,
                         moments, out_scale, out_shift, residual, residual_stride);
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

void normalise_forward(Int bytes, Int B, Int rows, Int C, const N *x, const N *scale, const N *shift, const N *residual,
                       const N *residual_scale, const N *residual_shift, N *out) {
  with_vectors(bytes, [&](auto width) {
    normalise<N, width()>({B, rows, C}, x, scale, shift, residual, residual_scale, residual_shift, out);
  });
}

void normalise_sums(Int bytes, Int B, Int rows, Int C, const N *d_out, const N *out, const N *x, const N *mean, const N *inverse,
                    const N *residual, const N *residual_mean, const N *residual_inverse, N *sums) {
  with_vectors(bytes, [&](auto width) {
    sums_of<N, width()>({B, rows, C}, d_out, out, x, mean, inverse, residual, residual_mean, residual_inverse, sums);
  });
}

void normalise_backward(Int bytes, Int B, Int rows, Int C, const N *d_out, const N *out, const N *x, const N *by, Int stride, N *d_x,
                        const N *residual, Int scaled, N *d_residual) {
  with_vectors(bytes, [&](auto width) {
    normalise_back<N, width()>({B, rows, C}, d_out, out, x, by, stride, d_x, residual, scaled, d_residual);
  });
}

void moments(Int bytes, Int B, Int rows, Int C, const N *x, Int stride, N *out) {
  with_vectors(bytes, [&](auto width) { moments_of_clips<N, width()>({B, rows, C}, x, stride, out); });
}

} // extern "C"
