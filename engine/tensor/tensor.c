/* Dtypes, shapes, parameters, and the choice of kernels. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gemm.h"
#include "op.h"
#include "update.h"

static const struct {
    const char *name;
    int64_t bytes;
} dtypes[DT_COUNT] = {
    [DT_F64] = {"f64", 8}, [DT_F32] = {"f32", 4}, [DT_BF16] = {"bf16", 2},
    [DT_F16] = {"f16", 2}, [DT_I64] = {"i64", 8}, [DT_I32] = {"i32", 4},
    [DT_I8] = {"i8", 1},   [DT_U8] = {"u8", 1},
};

const char *dtype_name(enum dtype dtype)
{
    return (unsigned)dtype < DT_COUNT ? dtypes[dtype].name : "?";
}

int dtype_parse(enum dtype *out, const char *name)
{
    for (int i = 0; i < DT_COUNT; i++)
        if (!strcmp(dtypes[i].name, name)) {
            *out = (enum dtype)i;
            return 0;
        }
    return -1;
}

int64_t dtype_bytes(enum dtype dtype)
{
    return (unsigned)dtype < DT_COUNT ? dtypes[dtype].bytes : 0;
}

static uint32_t bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static float float_of(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

float bf16_to_f32(uint16_t x)
{
    return float_of((uint32_t)x << 16);
}

uint16_t f32_to_bf16(float x)
{
    uint32_t u = bits_of(x);
    if ((u & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1)) >> 16);
}

float f16_to_f32(uint16_t x)
{
    uint32_t sign = (uint32_t)(x & 0x8000) << 16, exp = x >> 10 & 31, man = x & 1023;
    if (exp == 31)
        return float_of(sign | 0x7f800000u | man << 13);
    if (exp)
        return float_of(sign | (exp + 112) << 23 | man << 13);
    float v = ldexpf((float)man, -24);
    return sign ? -v : v;
}

uint16_t f32_to_f16(float x)
{
    uint32_t u = bits_of(x), sign = u >> 16 & 0x8000, a = u & 0x7fffffffu;
    if (a > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00 | (a >> 13 & 0x1ff));
    if (a >= 0x477ff000u) /* 65520 and more round to infinity */
        return (uint16_t)(sign | 0x7c00);
    if (a < 0x38800000u) /* subnormal: multiples of 2^-24 */
        return (uint16_t)(sign | (uint32_t)nearbyintf(ldexpf(float_of(a), 24)));
    return (uint16_t)(sign | (a - 0x38000000u + 0xfffu + (a >> 13 & 1)) >> 13);
}

/* Files are mapped as they are: their numbers lie at any address. */
#define AT_ANY(type, name)                                                               \
    type name;                                                                           \
    memcpy(&(name), (const char *)p + i * (int64_t)sizeof(name), sizeof(name))

static double load(const void *p, enum dtype dtype, int64_t i)
{
    switch (dtype) {
    case DT_F64: {
        AT_ANY(double, x);
        return x;
    }
    case DT_F32: {
        AT_ANY(float, x);
        return (double)x;
    }
    case DT_BF16: {
        AT_ANY(uint16_t, x);
        return (double)bf16_to_f32(x);
    }
    case DT_F16: {
        AT_ANY(uint16_t, x);
        return (double)f16_to_f32(x);
    }
    case DT_I64: {
        AT_ANY(int64_t, x);
        return (double)x;
    }
    case DT_I32: {
        AT_ANY(int32_t, x);
        return x;
    }
    case DT_I8:
        return ((const int8_t *)p)[i];
    case DT_U8:
        return ((const uint8_t *)p)[i];
    case DT_COUNT:
        break;
    }
    BUG("dtype %d", (int)dtype);
}

/* Integers: towards zero, held to the range; NaN gives 0. */
static double held(double x, double low, double high)
{
    return isnan(x) ? 0 : x < low ? low : x > high ? high : x;
}

static void save(void *p, enum dtype dtype, int64_t i, double x)
{
    switch (dtype) {
    case DT_F64:
        ((double *)p)[i] = x;
        return;
    case DT_F32:
        ((float *)p)[i] = (float)x;
        return;
    case DT_BF16:
        ((uint16_t *)p)[i] = f32_to_bf16((float)x);
        return;
    case DT_F16:
        ((uint16_t *)p)[i] = f32_to_f16((float)x);
        return;
    case DT_I64:
        ((int64_t *)p)[i] = (int64_t)held(x, -0x1p63, 0x1.fffffffffffffp62);
        return;
    case DT_I32:
        ((int32_t *)p)[i] = (int32_t)held(x, -0x1p31, 2147483647.0);
        return;
    case DT_I8:
        ((int8_t *)p)[i] = (int8_t)held(x, -128, 127);
        return;
    case DT_U8:
        ((uint8_t *)p)[i] = (uint8_t)held(x, 0, 255);
        return;
    case DT_COUNT:
        break;
    }
    BUG("dtype %d", (int)dtype);
}

void dtype_convert(void *to, enum dtype to_dtype, const void *from, enum dtype from_dtype,
                   int64_t n)
{
    if (to_dtype == from_dtype) {
        if (n > 0)
            memcpy(to, from, (size_t)(n * dtype_bytes(to_dtype)));
        return;
    }
    for (int64_t i = 0; i < n; i++)
        save(to, to_dtype, i, load(from, from_dtype, i));
}

int64_t shape_count(struct shape s)
{
    int64_t n = 1;
    for (int i = 0; i < s.rank; i++)
        n *= s.dim[i];
    return n;
}

int shape_bytes(int64_t *out, struct shape s, enum dtype dtype, struct err *err)
{
    int64_t n = dtype_bytes(dtype);
    if (s.rank < 0 || s.rank > RANK_MAX)
        return err_set(err, ERR_INPUT, "%d dimensions; at most %d are possible", s.rank,
                       RANK_MAX);
    for (int i = 0; i < s.rank; i++)
        if (mem_product(&n, n, s.dim[i], err))
            return -1;
    *out = n;
    return 0;
}

bool shape_equal(struct shape a, struct shape b)
{
    bool same = a.rank == b.rank;
    for (int i = 0; same && i < a.rank; i++)
        same = a.dim[i] == b.dim[i];
    return same;
}

char *shape_text(char *buf, struct shape s)
{
    int at = snprintf(buf, 96, "(");
    for (int i = 0; i < s.rank && i < RANK_MAX; i++)
        at += snprintf(buf + at, 96 - (size_t)at, "%s%lld", i ? ", " : "",
                       (long long)s.dim[i]);
    snprintf(buf + at, 96 - (size_t)at, ")");
    return buf;
}

double tensor_get(const struct tensor *t, int64_t i)
{
    return load(t->data, t->dtype, i);
}

int param_init(struct param *p, struct arena *arena, const char *name, struct shape shape,
               struct err *err)
{
    int64_t bytes;
    if (shape_bytes(&bytes, shape, DT_F32, err))
        return err_prefix(err, "%s", name);
    *p = (struct param){.name = arena_strdup(arena, name)};
    p->value = (struct tensor){.dtype = DT_F32, .shape = shape, .node = -1};
    p->value.data = arena_zalloc(arena, bytes ? bytes : 1);
    if (!p->name || !p->value.data)
        return err_set(err, ERR_MEMORY, "no memory for parameter %s", name);
    return 0;
}

enum { TABLE = 4096 }; /* rows from which on they are watched one by one */

int param_need_grad(struct param *p, struct arena *arena, struct err *err)
{
    int64_t bytes = shape_count(p->value.shape) * 4;
    bool table = p->value.shape.rank == 2 && p->value.shape.dim[0] >= TABLE;
    if (!p->grad) {
        p->grad = arena_zalloc(arena, bytes ? bytes : 1);
        p->rows = table ? arena_zalloc(arena, p->value.shape.dim[0]) : NULL;
        p->fresh = false;
    }
    return p->grad && (p->rows || !table)
               ? 0
               : err_set(err, ERR_MEMORY, "no memory for the gradient of %s", p->name);
}

void param_touch(struct param *p)
{
    p->version++;
    p->changed = true;
}

void param_apply_mask(struct param *p)
{
    float *v = p->value.data;
    for (int64_t i = 0, n = p->mask ? shape_count(p->value.shape) : 0; i < n; i++)
        if (!p->mask[i])
            v[i] = 0;
    param_touch(p);
}

void param_release(struct param *p)
{
    packs_free(p->cache);
    p->cache = NULL;
}

static const struct {
    const char *level;
    const struct kernels *set;
    const struct updates *updates; /* the same bits at every level */
} levels[] = {
    {"v4", &kernels_cpu_v4, &updates_v4},
    {"v3", &kernels_cpu_v3, &updates_v3},
    {"v2", &kernels_cpu_v2, &updates_v2},
    {"ref", &kernels_ref_f32, &updates_v2},
};
enum { LEVELS = sizeof levels / sizeof *levels };

static _Atomic int selected = -1;

static bool possible(const char *level)
{
    __builtin_cpu_init();
    if (!strcmp(level, "v4"))
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl");
    if (!strcmp(level, "v3"))
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
               __builtin_cpu_supports("bmi2");
    return strcmp(level, "v2") || __builtin_cpu_supports("sse4.2");
}

int kernels_select(const char *level, struct err *err)
{
    for (int i = 0; i < LEVELS; i++) {
        if (level && strcmp(level, levels[i].level))
            continue;
        if (possible(levels[i].level)) {
            selected = i;
            return 0;
        }
        if (level)
            return err_set(err, ERR_INPUT,
                           "kernels \"%s\": this processor cannot run them", level);
    }
    return err_set(err, ERR_INPUT, "kernels \"%s\" are unknown; use ref, v2, v3 or v4",
                   level ? level : "");
}

static int level_now(void)
{
    if (selected < 0 && kernels_select(getenv("RETORT_KERNELS"), NULL))
        kernels_select(NULL, NULL);
    return selected;
}

const char *kernels_level(void)
{
    return levels[level_now()].level;
}

unsigned kernels_products(void)
{
    return kernels_for(DT_F32)->packers ? gemm_instructions() : 0;
}

const struct kernels *kernels_for(enum dtype dtype)
{
    return dtype == DT_F64 ? &kernels_ref_f64 : levels[level_now()].set;
}

const struct updates *updates_now(void)
{
    return levels[level_now()].updates;
}
