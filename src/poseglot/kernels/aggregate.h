// CTR-GC: topologies refined for a few channels at a time, and its gradient.
#pragma once

#include "vectors.h"

namespace {

// aggregate: y[t, u, c] = sum over s, v of topology[s, u, v, c] * value[t, v, s, c],
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

  void aggregate(const T *value) {
    multiply<T, BYTES, false>(g.F, g.V, 1, g.V * g.S, y.data(), value, topology.data(),
                              {g.V * L, L, g.V * row, 0, L, 0, L, g.V * row}, false);
  }
};

// `values` (B, C / lanes, F V, S, lanes) keeps the values for the gradient (null: not wanted).
template <typename T, int BYTES>
void aggregate(const Graph &g, const T *x, const T *value_weight, const T *value_bias, const T *relation, const T *weight,
               const T *bias, const T *adjacency, T *out, T *values, T *moments, const Epilogue<T> &end) {
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
      p.aggregate(value);
      if (moments) moments_of<T, BYTES>(p.y.data(), rows, L, L, moments + (b * g.C + c) * 2);
      T *to = out + b * rows * g.C + c;
      if (end) {
        const Finish<T, BYTES> finish(end, c);
        for (Int row = 0; row < rows; ++row)
          store<T, BYTES>(to + row * g.C, finish(load<T, BYTES>(p.y.data() + row * L), b * rows + row));
      } else
        for (Int row = 0; row < rows; ++row) store<T, BYTES>(to + row * g.C, load<T, BYTES>(p.y.data() + row * L));
    }
  }
}

// `turned` weights have their last two axes exchanged: weight (S, C, R), value_weight (C / lanes, S, lanes, I).
template <typename T, int BYTES>
void aggregate_back(const Graph &g, const T *d_out, const T *x, const T *values, const T *turned_value, const T *relation, const T *weight,
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

} // namespace
