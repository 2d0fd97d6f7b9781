/* One pass of a Qwen3- or Llama-shaped decoder over rows of tokens, on a CPU.

   Notable:
   - A row's numbers do not depend on the other rows of its pass: every sum is taken in the same order, however many rows
     share it. So a request gets the same bits alone and in company, in chunks of any size, from the cache or not.
   - Weights are read once a pass. They lie in panels of 16 outputs, so that a sum runs over inputs in one vector lane for
     each output; int8 and bfloat16 become float32 in registers, and all arithmetic is float32.
   - Vectors are GCC's and Clang's own, for any processor. One OpenMP region spans the pass.
   - model/inference/decoders/c_decoder.py compiles this, and has the same structures. */

#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#ifdef __AVX2__
#include <immintrin.h>
#endif
#ifdef _OPENMP
#include <omp.h>
#else
static int omp_get_thread_num(void) { return 0; }
static int omp_get_num_threads(void) { return 1; }
#endif

enum { LANES = 8, PANEL = 16, MOST_ROWS = 6, SPINS = 20000 };
typedef float vec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t ints __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int8_t bytes __attribute__((vector_size(LANES), aligned(1), may_alias));
typedef uint16_t halves __attribute__((vector_size(2 * LANES), aligned(2), may_alias));
#define INLINE static inline __attribute__((always_inline))

enum kind { FLOAT32, BFLOAT16, INT8 };

typedef struct {
    const void *values;  /* panels of (inputs, 16) */
    const float *scales; /* of each output; null: 1 */
    const float *bias;   /* of each output, or null */
    int64_t kind, panels, inputs;
} Matrix;

typedef struct {
    Matrix qkv, out, gate_up, down;
    const float *input_norm, *q_norm, *k_norm, *post_norm; /* q_norm and k_norm may be null */
    int64_t window;                                        /* 0: the whole context */
} Layer;

typedef struct {
    int64_t layers, hidden, heads, kv_heads, head_dim, intermediate, slots, context;
    float epsilon;
    const Layer *layer;
    Matrix embedding, head;
    const float *norm, *cosines, *sines; /* tables of (context, head_dim) */
    float *keys;                         /* (layers, slots, kv_heads, context / 8, head_dim, 8) */
    float *values;                       /* (layers, slots, kv_heads, context, head_dim rounded up to 8) */
    float *stream, *normed, *inner;      /* a row each, of the widths below */
    int64_t stream_width, inner_width;
    float *scratch;                      /* of each thread, scratch_size floats */
    int64_t scratch_size;
} Model;

typedef struct {
    int arrived, number, asleep;
    pthread_mutex_t door;
    pthread_cond_t all_here;
} Meeting;

/* Wait until all threads are here: spin while that is shorter than falling asleep and being woken, then sleep. OpenMP's own
   barrier, and one that yields, hold the processor that the late thread may be waiting for. */
static void meet(Meeting *meeting) {
    int threads = omp_get_num_threads(), number = __atomic_load_n(&meeting->number, __ATOMIC_SEQ_CST);
    if (threads == 1) return;
    if (__atomic_add_fetch(&meeting->arrived, 1, __ATOMIC_SEQ_CST) == threads) {
        __atomic_store_n(&meeting->arrived, 0, __ATOMIC_SEQ_CST);
        __atomic_store_n(&meeting->number, number + 1, __ATOMIC_SEQ_CST);
        if (!__atomic_load_n(&meeting->asleep, __ATOMIC_SEQ_CST)) return;
        pthread_mutex_lock(&meeting->door);
        pthread_cond_broadcast(&meeting->all_here);
        pthread_mutex_unlock(&meeting->door);
        return;
    }
    for (int turn = 0; turn < SPINS; turn++)
        if (__atomic_load_n(&meeting->number, __ATOMIC_ACQUIRE) != number) return;
    pthread_mutex_lock(&meeting->door);
    __atomic_add_fetch(&meeting->asleep, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&meeting->number, __ATOMIC_SEQ_CST) == number)
        pthread_cond_wait(&meeting->all_here, &meeting->door);
    __atomic_sub_fetch(&meeting->asleep, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&meeting->door);
}

static int64_t round_up(int64_t size, int64_t to) { return (size + to - 1) / to * to; }

INLINE vec spread(float value) { return value - (vec){0}; }

INLINE float total(vec value) {
    float sum = 0;
    for (int lane = 0; lane < LANES; lane++) sum += value[lane];
    return sum;
}

INLINE vec chosen(ints mask, vec where, vec otherwise) {
    return (vec)(((ints)where & mask) | ((ints)otherwise & ~mask));
}

/* e^x, within 2 units in the last place; 0 below -87. Cephes' polynomial. */
INLINE vec exponential(vec x) {
    ints large_enough = x > -87.0f;
    vec high = spread(88.0f);
    x = chosen(x < high, x, high);
    vec turns = (x * 1.44269504f + 12582912.0f) - 12582912.0f;
    vec rest = x - turns * 0.693359375f + turns * 2.12194440e-4f;
    vec sum = spread(1.9875691500e-4f);
    sum = sum * rest + 1.3981999507e-3f;
    sum = sum * rest + 8.3334519073e-3f;
    sum = sum * rest + 4.1665795894e-2f;
    sum = sum * rest + 1.6666665459e-1f;
    sum = sum * rest + 5.0000001201e-1f;
    sum = sum * rest * rest + rest + 1.0f;
    ints power = (__builtin_convertvector(turns, ints) + 127) << 23;
    return (vec)((ints)(sum * (vec)power) & large_enough);
}

#ifdef __AVX2__ /* GCC 13 takes the vectors apart for the general forms */
INLINE ints widened(const int8_t *from) { return (ints)_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)from)); }
INLINE ints widened_halves(const uint16_t *from) { return (ints)_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)from)); }
#else
INLINE ints widened(const int8_t *from) { return __builtin_convertvector(*(const bytes *)from, ints); }
INLINE ints widened_halves(const uint16_t *from) { return __builtin_convertvector(*(const halves *)from, ints); }
#endif

INLINE vec weights_at(const void *values, int kind, int64_t at) {
    if (kind == FLOAT32) return *(const vec *)((const float *)values + at);
    if (kind == INT8) return __builtin_convertvector(widened((const int8_t *)values + at), vec);
    return (vec)(widened_halves((const uint16_t *)values + at) << 16);
}

/* Multiply `rows` rows by `panels` panels; called with constants, so that the sums stay in registers. */
INLINE void multiply_block(const Matrix *matrix, int kind, const void *values, int64_t panel, int rows, int panels,
                           const float *x, int64_t x_width, float *y, int64_t y_width, int add) {
    vec sums[MOST_ROWS][2 * 4] = {0};
    int64_t inputs = matrix->inputs;
    for (int64_t k = 0; k < inputs; k++) {
        vec weights[2 * 4];
        for (int p = 0; p < panels; p++) {
            weights[2 * p] = weights_at(values, kind, (p * inputs + k) * PANEL);
            weights[2 * p + 1] = weights_at(values, kind, (p * inputs + k) * PANEL + LANES);
        }
        for (int row = 0; row < rows; row++) {
            vec input = spread(x[row * x_width + k]);
            for (int p = 0; p < 2 * panels; p++) sums[row][p] += input * weights[p];
        }
    }
    for (int row = 0; row < rows; row++)
        for (int p = 0; p < 2 * panels; p++) {
            int64_t output = panel * PANEL + p * LANES;
            vec sum = sums[row][p];
            if (matrix->scales) sum *= *(const vec *)(matrix->scales + output);
            if (matrix->bias) sum += *(const vec *)(matrix->bias + output);
            vec *to = (vec *)(y + row * y_width + output);
            if (add) sum += *to;
            *to = sum;
        }
}

/* As many panels at a time as keep the processor's multipliers busy: 1 row has few sums of its own. */
INLINE void multiply_kind(const Matrix *matrix, int kind, int64_t first, int64_t last, int64_t rows, const float *x,
                          int64_t x_width, float *y, int64_t y_width, int add, float *scratch) {
    int64_t size = matrix->inputs * PANEL * (kind == FLOAT32 ? 4 : kind == BFLOAT16 ? 2 : 1);
#define BLOCK(r, p, type, from) \
    multiply_block(matrix, type, from, panel, r, p, x + row * x_width, x_width, y + row * y_width, y_width, add)
    for (int64_t panel = first, taken = 1; panel < last; panel += taken) {
        const void *values = (const char *)matrix->values + panel * size;
        int64_t row = 0, left = last - panel;
        taken = rows == 1 && left >= 4 ? 4 : rows <= 2 && left >= 2 ? 2 : 1;
        if (rows == 1 && taken == 4) BLOCK(1, 4, kind, values);
        else if (rows == 1 && taken == 2) BLOCK(1, 2, kind, values);
        else if (rows == 2 && taken == 2) BLOCK(2, 2, kind, values);
        else if (rows <= MOST_ROWS) {
            if (rows == 1) BLOCK(1, 1, kind, values);
            if (rows == 2) BLOCK(2, 1, kind, values);
            if (rows == 3) BLOCK(3, 1, kind, values);
            if (rows == 4) BLOCK(4, 1, kind, values);
            if (rows == 5) BLOCK(5, 1, kind, values);
            if (rows == 6) BLOCK(6, 1, kind, values);
        } else {
            const float *wide = values;
            if (kind != FLOAT32) { /* made float32 once for all rows */
                for (int64_t at = 0; at < matrix->inputs * PANEL; at += LANES)
                    *(vec *)(scratch + at) = weights_at(values, kind, at);
                wide = scratch;
            }
            for (; row + 6 <= rows; row += 6) BLOCK(6, 1, FLOAT32, wide);
            if (rows - row == 1) BLOCK(1, 1, FLOAT32, wide);
            if (rows - row == 2) BLOCK(2, 1, FLOAT32, wide);
            if (rows - row == 3) BLOCK(3, 1, FLOAT32, wide);
            if (rows - row == 4) BLOCK(4, 1, FLOAT32, wide);
            if (rows - row == 5) BLOCK(5, 1, FLOAT32, wide);
        }
    }
#undef BLOCK
}

/* Write (or add) x times the matrix to y, this thread's share of the outputs. */
static void multiply(const Matrix *matrix, int64_t rows, const float *x, int64_t x_width, float *y, int64_t y_width,
                     int add, float *scratch) {
    int64_t thread = omp_get_thread_num(), threads = omp_get_num_threads();
    int64_t first = matrix->panels * thread / threads, last = matrix->panels * (thread + 1) / threads;
    if (matrix->kind == FLOAT32)
        multiply_kind(matrix, FLOAT32, first, last, rows, x, x_width, y, y_width, add, scratch);
    else if (matrix->kind == BFLOAT16)
        multiply_kind(matrix, BFLOAT16, first, last, rows, x, x_width, y, y_width, add, scratch);
    else
        multiply_kind(matrix, INT8, first, last, rows, x, x_width, y, y_width, add, scratch);
}

INLINE float inverse_rms(const float *x, int64_t size, float epsilon) {
    vec squares = {0};
    float rest = 0;
    int64_t at = 0;
    for (; at + LANES <= size; at += LANES) squares += *(const vec *)(x + at) * *(const vec *)(x + at);
    for (; at < size; at++) rest += x[at] * x[at];
    return 1.0f / sqrtf((total(squares) + rest) / (float)size + epsilon);
}

/* RMSNorm of this thread's share of the rows. */
static void normalise(const Model *model, int64_t rows, const int32_t *which, const float *scales, float *to) {
    int64_t thread = omp_get_thread_num(), threads = omp_get_num_threads();
    for (int64_t row = rows * thread / threads; row < rows * (thread + 1) / threads; row++) {
        const float *x = model->stream + (which ? which[row] : row) * model->stream_width;
        float factor = inverse_rms(x, model->hidden, model->epsilon);
        for (int64_t at = 0; at < model->hidden; at++) to[row * model->stream_width + at] = x[at] * factor * scales[at];
    }
}

static void embed(const Model *model, int64_t rows, const int32_t *tokens) {
    const Matrix *table = &model->embedding;
    int64_t thread = omp_get_thread_num(), threads = omp_get_num_threads();
    for (int64_t row = rows * thread / threads; row < rows * (thread + 1) / threads; row++) {
        int64_t token = tokens[row], first = token / PANEL * table->inputs * PANEL + token % PANEL;
        for (int64_t at = 0; at < table->inputs; at++) {
            int64_t from = first + at * PANEL;
            float value;
            if (table->kind == FLOAT32) value = ((const float *)table->values)[from];
            else if (table->kind == INT8) value = ((const int8_t *)table->values)[from] * table->scales[token];
            else {
                uint32_t bits = (uint32_t)((const uint16_t *)table->values)[from] << 16;
                memcpy(&value, &bits, 4);
            }
            model->stream[row * model->stream_width + at] = value;
        }
    }
}

/* Norm and rotation of one head, in place (RoFormer, arXiv:2104.09864, equation 34, halves paired as in transformers). */
static void rotate(const Model *model, float *head, const float *scales, int64_t position) {
    int64_t half = model->head_dim / 2;
    const float *cosines = model->cosines + position * model->head_dim, *sines = model->sines + position * model->head_dim;
    if (scales) {
        float factor = inverse_rms(head, model->head_dim, model->epsilon);
        for (int64_t at = 0; at < model->head_dim; at++) head[at] *= factor * scales[at];
    }
    for (int64_t at = 0; at < half; at++) {
        float left = head[at], right = head[at + half];
        head[at] = left * cosines[at] - right * sines[at];
        head[at + half] = right * cosines[at] + left * sines[at];
    }
}

static int64_t head_of_cache(const Model *model, int64_t layer, int64_t slot, int64_t head, int64_t width) {
    return ((layer * model->slots + slot) * model->kv_heads + head) * model->context * width;
}

/* Rotate this thread's share of the heads, and put keys and values into the cache. */
static void store(const Model *model, int64_t number, int64_t rows, const int32_t *slots, const int32_t *positions) {
    int64_t thread = omp_get_thread_num(), threads = omp_get_num_threads();
    int64_t heads = model->heads, kv_heads = model->kv_heads, size = model->head_dim, padded = round_up(size, LANES);
    const Layer *layer = &model->layer[number];
    int64_t tasks = rows * (heads + kv_heads);
    for (int64_t task = tasks * thread / threads; task < tasks * (thread + 1) / threads; task++) {
        int64_t row = task / (heads + kv_heads), head = task % (heads + kv_heads), position = positions[row];
        float *from = model->inner + row * model->inner_width + head * size;
        rotate(model, from, head < heads ? layer->q_norm : layer->k_norm, position);
        if (head < heads) continue;
        int64_t kv_head = head - heads;
        float *keys = model->keys + head_of_cache(model, number, slots[row], kv_head, size);
        keys += position / LANES * size * LANES + position % LANES;
        for (int64_t at = 0; at < size; at++) keys[at * LANES] = from[at];
        float *values = model->values + head_of_cache(model, number, slots[row], kv_head, padded);
        memcpy(values + position * padded, from + kv_heads * size, size * sizeof(float));
    }
}

/* Scores of `blocks` blocks of 8 positions. */
INLINE void score(const float *query, const float *keys, int64_t size, int blocks, float scale, float *scores) {
    vec sums[4] = {0};
    for (int64_t at = 0; at < size; at++)
        for (int block = 0; block < blocks; block++)
            sums[block] += query[at] * *(const vec *)(keys + (block * size + at) * LANES);
    for (int block = 0; block < blocks; block++) *(vec *)(scores + block * LANES) = sums[block] * scale;
}

/* The mean of `vectors` vectors of the values, weighted by probabilities. */
INLINE void mix(const float *probabilities, const float *values, int64_t width, int64_t first, int64_t last, int vectors,
                float factor, float *to) {
    vec sums[8] = {0};
    for (int64_t position = first; position < last; position++)
        for (int at = 0; at < vectors; at++)
            sums[at] += probabilities[position] * *(const vec *)(values + position * width + at * LANES);
    for (int at = 0; at < vectors; at++) *(vec *)(to + at * LANES) = sums[at] * factor;
}

/* Attention of one query head, in its place; `scratch` holds a score for each position and a head. */
static void attend_head(const Model *model, float *query, const float *keys, const float *values, int64_t position,
                        int64_t window, float *scratch) {
    int64_t size = model->head_dim, padded = round_up(size, LANES), end = position + 1;
    int64_t first = window && window < end ? end - window : 0, block = first / LANES, blocks = round_up(end, LANES) / LANES;
    float scale = 1.0f / sqrtf((float)size), *scores = scratch, *mixed = scratch + round_up(model->context, LANES);
    int64_t start = block * LANES;
    for (; block + 4 <= blocks; block += 4)
        score(query, keys + block * size * LANES, size, 4, scale, scores + block * LANES);
    for (; block < blocks; block++) score(query, keys + block * size * LANES, size, 1, scale, scores + block * LANES);
    for (int64_t at = start; at < first; at++) scores[at] = -INFINITY;
    for (int64_t at = end; at < blocks * LANES; at++) scores[at] = -INFINITY;
    vec most = *(vec *)(scores + start), sums = {0};
    for (int64_t at = start; at < blocks * LANES; at += LANES) {
        vec here = *(vec *)(scores + at);
        most = chosen(here > most, here, most);
    }
    float largest = most[0];
    for (int lane = 1; lane < LANES; lane++) largest = most[lane] > largest ? most[lane] : largest;
    for (int64_t at = start; at < blocks * LANES; at += LANES) {
        vec probabilities = exponential(*(vec *)(scores + at) - largest);
        *(vec *)(scores + at) = probabilities;
        sums += probabilities;
    }
    float factor = 1.0f / total(sums);
    int64_t at = 0, vectors = padded / LANES;
    for (; at + 8 <= vectors; at += 8)
        mix(scores, values + at * LANES, padded, first, end, 8, factor, mixed + at * LANES);
    for (; at + 2 <= vectors; at += 2)
        mix(scores, values + at * LANES, padded, first, end, 2, factor, mixed + at * LANES);
    if (at < vectors) mix(scores, values + at * LANES, padded, first, end, 1, factor, mixed + at * LANES);
    memcpy(query, mixed, size * sizeof(float));
}

/* Attention of this thread's share of the query heads. */
static void attend(const Model *model, int64_t number, int64_t rows, const int32_t *slots, const int32_t *positions,
                   float *scratch) {
    int64_t thread = omp_get_thread_num(), threads = omp_get_num_threads(), size = model->head_dim;
    int64_t group = model->heads / model->kv_heads, tasks = rows * model->heads;
    for (int64_t task = tasks * thread / threads; task < tasks * (thread + 1) / threads; task++) {
        int64_t row = task / model->heads, head = task % model->heads;
        const float *keys = model->keys + head_of_cache(model, number, slots[row], head / group, size);
        const float *values = model->values + head_of_cache(model, number, slots[row], head / group, round_up(size, LANES));
        float *query = model->inner + row * model->inner_width + head * size;
        attend_head(model, query, keys, values, positions[row], model->layer[number].window, scratch);
    }
}

/* SwiGLU (arXiv:2002.05202, equation 6) of this thread's share, in the place of the gates. */
static void activate(const Model *model, int64_t rows) {
    int64_t thread = omp_get_thread_num(), threads = omp_get_num_threads();
    int64_t blocks = model->intermediate / LANES, rest = model->intermediate % LANES, tasks = rows * blocks;
    for (int64_t task = tasks * thread / threads; task < tasks * (thread + 1) / threads; task++) {
        float *gate = model->inner + task / blocks * model->inner_width + task % blocks * LANES;
        vec value = *(vec *)gate;
        *(vec *)gate = value / (1.0f + exponential(-value)) * *(vec *)(gate + model->intermediate);
    }
    if (!rest || thread) return;
    for (int64_t row = 0; row < rows; row++) {
        float *gate = model->inner + row * model->inner_width;
        for (int64_t at = model->intermediate - rest; at < model->intermediate; at++)
            gate[at] = gate[at] / (1.0f + expf(-gate[at])) * gate[at + model->intermediate];
    }
}

/* Store the rows' keys and values, and write the logits of the wanted rows, each `head.panels` times 16 wide. */
void forward(const Model *model, int64_t rows, const int32_t *tokens, const int32_t *slots, const int32_t *positions,
             int64_t n_wanted, const int32_t *wanted, float *logits, int64_t threads) {
    float *stream = model->stream, *normed = model->normed, *inner = model->inner;
    int64_t width = model->stream_width, inner_width = model->inner_width;
    Meeting meeting = {.door = PTHREAD_MUTEX_INITIALIZER, .all_here = PTHREAD_COND_INITIALIZER};
#pragma omp parallel num_threads(threads)
    {
        float *scratch = model->scratch + omp_get_thread_num() * model->scratch_size;
        embed(model, rows, tokens);
        meet(&meeting);
        for (int64_t number = 0; number < model->layers; number++) {
            const Layer *layer = &model->layer[number];
            normalise(model, rows, 0, layer->input_norm, normed);
            meet(&meeting);
            multiply(&layer->qkv, rows, normed, width, inner, inner_width, 0, scratch);
            meet(&meeting);
            store(model, number, rows, slots, positions);
            meet(&meeting);
            attend(model, number, rows, slots, positions, scratch);
            meet(&meeting);
            multiply(&layer->out, rows, inner, inner_width, stream, width, 1, scratch);
            meet(&meeting);
            normalise(model, rows, 0, layer->post_norm, normed);
            meet(&meeting);
            multiply(&layer->gate_up, rows, normed, width, inner, inner_width, 0, scratch);
            meet(&meeting);
            activate(model, rows);
            meet(&meeting);
            multiply(&layer->down, rows, inner, inner_width, stream, width, 1, scratch);
            meet(&meeting);
        }
        normalise(model, n_wanted, wanted, model->norm, normed);
        meet(&meeting);
        multiply(&model->head, n_wanted, normed, width, logits, model->head.panels * PANEL, 0, scratch);
    }
}
