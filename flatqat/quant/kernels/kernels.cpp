// One pass over memory for each operation of `formulas.py`, which defines them; compiled by `compiled.py`.
//
// A tensor is (outer, channels, inner) in memory, with a step size and an offset for each channel. Sums run in
// LANES independent lanes of float over CHUNK values, then in double over chunks, blocks and rows in order: they
// depend neither on the vector width of the machine nor on the number of threads.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

namespace {

constexpr int64_t LANES = 16, CHUNK = 1024, BLOCK = 1 << 16;
constexpr int64_t AHEAD = 1024;  // values: memory is asked for them while others are computed

struct bfloat16 {
    uint16_t bits;
};

inline float load(float x) { return x; }
inline float load(bfloat16 x) {
    uint32_t wide = uint32_t(x.bits) << 16;
    float value;
    std::memcpy(&value, &wide, 4);
    return value;
}
inline void store(float* to, float value) { *to = value; }
inline void store(bfloat16* to, float value) {  // half to even, as torch converts
    uint32_t wide;
    std::memcpy(&wide, &value, 4);
    uint32_t rounded = (wide + 0x7FFFu + ((wide >> 16) & 1u)) >> 16;
    to->bits = uint16_t(value != value ? 0x7FC0u : rounded);
}

}  // namespace

extern "C" {

// The fields of `Rule`, in its order, and the layout of the tensor.
struct Task {
    double low, high, factor, open_low, open_high, delta, residual, divisor;
    int64_t outer, channels, inner, threads;
    const float *scale, *offset;  // one value per channel; without an offset, null
};
}

namespace {

constexpr float SMALLEST_SCALE = 1e-8f;

struct Grid {
    float low, high, in_low, in_high, step, offset, added, delta, residual;

    Grid(const Task& t, int64_t channel) {
        constexpr float infinity = std::numeric_limits<float>::infinity();
        low = float(t.low), high = float(t.high);
        in_low = t.open_low ? std::nextafter(low, infinity) : low;
        in_high = t.open_high ? std::nextafter(high, -infinity) : high;
        float size = std::fabs(t.scale[channel]);
        step = (size < SMALLEST_SCALE ? SMALLEST_SCALE : size) / float(t.divisor);
        offset = t.offset ? t.offset[channel] : 0.0f;
        added = t.offset ? offset : -0.0f;  // which leaves a negative zero as it is
        delta = float(t.delta), residual = float(t.residual);
    }
    float ratio(float v) const { return (v - offset) / step; }
    float clip(float r) const { return r < low ? low : r > high ? high : r; }  // NaN stays
    float inside(float r) const { return r >= in_low && r <= in_high ? 1.0f : 0.0f; }
};

// Calls work(grid, first value, count, row, block) for every block of every row.
template <class Work>
void for_blocks(const Task& t, Work work) {
    const int64_t per_row = (t.inner + BLOCK - 1) / BLOCK, blocks = t.outer * t.channels * per_row;
#pragma omp parallel for num_threads(int(t.threads)) schedule(static) if (t.threads > 1 && blocks > 1)
    for (int64_t i = 0; i < blocks; ++i) {
        const int64_t row = i / per_row, start = (i % per_row) * BLOCK;
        const int64_t count = t.inner - start < BLOCK ? t.inner - start : BLOCK;
        work(Grid(t, row % t.channels), row * t.inner + start, count, i);
    }
}

template <class T>
void levels(const Task& t, const T* __restrict v, T* __restrict out) {
    for_blocks(t, [=](const Grid& grid, int64_t first, int64_t count, int64_t) {
        const T* __restrict from = v + first;
        T* __restrict to = out + first;
        for (int64_t start = 0; start < count; start += LANES) {
            const int64_t end = start + LANES < count ? start + LANES : count;
            __builtin_prefetch(from + start + AHEAD);
            __builtin_prefetch(to + start + AHEAD, 1);
            for (int64_t i = start; i < end; ++i)
                store(to + i, std::rint(grid.clip(grid.ratio(load(from[i])))) * grid.step + grid.added);
        }
    });
}

struct Sums {
    float scale[LANES], offset[LANES];
};

template <bool EWGS, class T>
inline void vjp_lanes(const Grid& grid, const T* grad, const T* v, T* on_v, int64_t count, Sums& sums) {
    for (int64_t lane = 0; lane < count; ++lane) {
        const float g = load(grad[lane]), r = grid.ratio(load(v[lane]));
        const float c = grid.clip(r), q = std::rint(c), in = grid.inside(r);
        if (EWGS) {
            const float sign = float(g > 0.0f) - float(g < 0.0f);
            const float through = ((c - q) * sign * grid.delta + 1.0f) * g * in, stopped = g - through;
            sums.scale[lane] += stopped * q - through * (c - q);
            sums.offset[lane] += stopped;
            if (on_v) store(on_v + lane, through);
        } else {
            const float kept = grid.residual != 0.0f ? c : q;
            sums.scale[lane] += g * (q - kept * in);
            sums.offset[lane] += g * (1.0f - in);
            if (on_v) store(on_v + lane, g * in);
        }
    }
}

template <bool EWGS, class T>
void vjp(const Task& t, const T* grad, const T* v, T* on_v, float* on_scale, float* on_offset) {
    const int64_t per_row = (t.inner + BLOCK - 1) / BLOCK, blocks = t.outer * t.channels * per_row;
    std::vector<double> scale_sums(blocks), offset_sums(blocks);
    double *for_scale = scale_sums.data(), *for_offset = offset_sums.data();
    for_blocks(t, [=](const Grid& grid, int64_t first, int64_t count, int64_t block) {
        double scale_sum = 0, offset_sum = 0;
        for (int64_t chunk = 0; chunk < count; chunk += CHUNK) {
            const int64_t end = count < chunk + CHUNK ? count : chunk + CHUNK;
            Sums sums = {};
            int64_t i = chunk;
            for (; i + LANES <= end; i += LANES) {
                __builtin_prefetch(grad + first + i + AHEAD);
                __builtin_prefetch(v + first + i + AHEAD);
                if (on_v) __builtin_prefetch(on_v + first + i + AHEAD, 1);
                vjp_lanes<EWGS>(grid, grad + first + i, v + first + i, on_v ? on_v + first + i : nullptr,
                                 LANES, sums);
            }
            vjp_lanes<EWGS>(grid, grad + first + i, v + first + i, on_v ? on_v + first + i : nullptr, end - i,
                             sums);
            for (int64_t lane = 0; lane < LANES; ++lane) {
                scale_sum += sums.scale[lane];
                offset_sum += sums.offset[lane];
            }
        }
        for_scale[block] = scale_sum;
        for_offset[block] = offset_sum;
    });
    std::vector<double> channel_scale(t.channels), channel_offset(t.channels);
    for (int64_t i = 0; i < blocks; ++i) {
        channel_scale[(i / per_row) % t.channels] += for_scale[i];
        channel_offset[(i / per_row) % t.channels] += for_offset[i];
    }
    for (int64_t c = 0; c < t.channels; ++c) {
        const double sign = double(t.scale[c] > 0) - double(t.scale[c] < 0);
        if (on_scale) on_scale[c] = float(channel_scale[c] * t.factor * sign / t.divisor);
        if (on_offset) on_offset[c] = float(channel_offset[c] * t.factor);
    }
}

template <class T>
void jvp(const Task& t, const T* tv, const float* tscale, const float* toffset, const T* v, T* out) {
    for_blocks(t, [=](const Grid& grid, int64_t first, int64_t count, int64_t block) {
        const int64_t c = (first / t.inner) % t.channels;
        const float sign = float(t.scale[c] > 0) - float(t.scale[c] < 0);
        const float by_scale = tscale ? float(tscale[c] * t.factor * sign / t.divisor) : 0.0f;
        const float by_offset = toffset ? float(toffset[c] * t.factor) : 0.0f;
        for (int64_t i = first; i < first + count; ++i) {
            const float r = grid.ratio(load(v[i])), clipped = grid.clip(r), q = std::rint(clipped);
            const float in = grid.inside(r), kept = grid.residual != 0.0f ? clipped : q;
            const float from_v = tv ? load(tv[i]) * in : 0.0f;
            const float from_scale = tscale ? by_scale * (q - kept * in) : 0.0f;  // not of NaN, without a tangent
            store(out + i, from_v + from_scale + by_offset * (1.0f - in));
        }
    });
}

template <class T>
void inside(const Task& t, const T* v, bool* out) {
    for_blocks(t, [=](const Grid& grid, int64_t first, int64_t count, int64_t) {
        for (int64_t i = first; i < first + count; ++i) {
            const float r = grid.ratio(load(v[i]));
            out[i] = r >= grid.in_low && r <= grid.in_high;
        }
    });
}

// As torch computes lerp, with fused multiply-add where the processor has it.
inline float lerp(float from, float to, float weight) {
    return weight < 0.5f ? std::fma(weight, to - from, from) : std::fma(weight - 1.0f, to - from, to);
}

void attract(const Task& t, const float* v, const float* level, float* anchor, float* grad, float beta,
             float coefficient) {
    for_blocks(t, [=](const Grid& grid, int64_t first, int64_t count, int64_t) {
        const float *__restrict at = v + first, *__restrict to = level + first;
        float *__restrict a = anchor + first, *__restrict g = grad + first;
        for (int64_t i = 0; i < count; ++i) {
            const float moved = lerp(a[i], to[i], beta);
            a[i] = moved;
            g[i] += (to[i] - moved) * grid.inside(grid.ratio(at[i])) * coefficient;
        }
    });
}

}  // namespace

#define EXPORT(NAME, T)                                                                                      \
    void levels_##NAME(const Task* t, const T* v, T* out) { levels(*t, v, out); }                            \
    void vjp_##NAME(const Task* t, const T* grad, const T* v, T* on_v, float* on_scale, float* on_offset) { \
        if (t->delta != 0) vjp<true>(*t, grad, v, on_v, on_scale, on_offset);                               \
        else vjp<false>(*t, grad, v, on_v, on_scale, on_offset);                                            \
    }                                                                                                        \
    void jvp_##NAME(const Task* t, const T* tv, const float* ts, const float* to, const T* v, T* out) {     \
        jvp(*t, tv, ts, to, v, out);                                                                        \
    }                                                                                                        \
    void inside_##NAME(const Task* t, const T* v, bool* out) { inside(*t, v, out); }

extern "C" {
EXPORT(float32, float)
EXPORT(bfloat16, bfloat16)
void attract_float32(const Task* t, const float* v, const float* level, float* anchor, float* grad,
                     const float* numbers) {
    attract(*t, v, level, anchor, grad, numbers[0], numbers[1]);
}
}
