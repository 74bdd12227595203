// The multi-scale temporal module, and its gradient.
#pragma once

#include "vectors.h"

namespace {

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

template <typename T, int BYTES>
void temporal(const Temporal &t, const T *entry, const T *scale, const T *shift, const T *narrow, const T *wide, const T *point, T *out,
              T *moments, const Epilogue<T> &end) {
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
      if (end)
        for (Int row = 0; row < frames * t.V; ++row)
          for (Int c = 0; c < channels; c += L) {
            T *here = to + row * channels + c;
            store<T, BYTES>(here, Finish<T, BYTES>(end, c)(load<T, BYTES>(here), (b * t.G + begin) * t.V + row));
          }
    }
  }
}

// d_entry becomes the gradient behind the entry's BatchNorm, that is relu'd, and `sums` (B, 3 Q, 2) the sums, for each clip and channel,
// of it and of it times the normalized entry: what BatchNorm needs to go back. d_point is a copy. Turned weights are (taps, out, in).
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

} // namespace
