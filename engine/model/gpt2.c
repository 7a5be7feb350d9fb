/*
 * The form of GPT-2's files (Radford et al. 2019; transformers' Conv1D): see internal.h.
 */
#include "internal.h"

#include <string.h>

static const char *const thirds[] = {"query", "key", "value"};

struct gpt2_part gpt2_part_of(const struct model *m, const struct param *p)
{
    struct gpt2_part part = {.shape = p->value.shape};
    const char *c_attn = strstr(p->name, ".c_attn."), *third, *end;
    int64_t rows = p->value.shape.dim[0];

    if (m->cfg.arch != HF_GPT2 || !strstr(p->name, ".h."))
        return part;
    if (p->value.shape.rank == 2)
        part.shape = SHAPE(p->value.shape.dim[1], rows);
    else if (!c_attn)
        return part;
    part.name = p->name;
    if (!c_attn)
        return part;
    third = c_attn + strlen(".c_attn.");
    end = strrchr(p->name, '.');
    for (int i = 0; i < 3; i++)
        if (!strncmp(third, thirds[i], strlen(thirds[i])))
            part.from = i * rows;
    part.shape.dim[part.shape.rank - 1] = 3 * rows;
    part.name =
        arena_printf(m->arena, "%.*s%s", (int)(third - 1 - p->name), p->name, end);
    part.failed = !part.name;
    return part;
}

void gpt2_read(struct param *p, const struct safetensors_entry *e,
               const struct gpt2_part *part)
{
    int64_t columns = part->shape.dim[part->shape.rank - 1];
    int64_t out = p->value.shape.dim[0],
            in = p->value.shape.rank == 2 ? p->value.shape.dim[1] : 1;
    int64_t size = dtype_bytes(e->dtype);
    float *to = tensor_f32(&p->value);

    for (int64_t i = 0; i < in; i++)
        for (int64_t o = 0; o < out; o++)
            dtype_convert(to + o * in + i, DT_F32,
                          (const char *)e->data + (i * columns + part->from + o) * size,
                          e->dtype, 1);
}

/* Puts a parameter into its place of the whole tensor. */
static void gpt2_put(float *to, const struct param *p, int64_t columns, int64_t from)
{
    int64_t out = p->value.shape.dim[0],
            in = p->value.shape.rank == 2 ? p->value.shape.dim[1] : 1;
    const float *v = p->value.data;

    for (int64_t i = 0; i < in; i++)
        for (int64_t o = 0; o < out; o++)
            to[i * columns + from + o] = v[o * in + i];
}

int64_t gpt2_write(struct safetensors_entry *e, const struct model *m,
                   const struct param *p, struct arena *arena, bool bare)
{
    struct gpt2_part part = gpt2_part_of(m, p);
    int64_t columns = part.shape.dim[part.shape.rank - 1];
    float *to;

    if (part.from > 0)
        return 0;
    to = arena_alloc(arena, shape_count(part.shape) * (int64_t)sizeof *to);
    for (int64_t i = 0; to && i < m->n_params; i++) {
        struct gpt2_part other = gpt2_part_of(m, m->param[i]);
        if (other.name && part.name && !strcmp(other.name, part.name))
            gpt2_put(to, m->param[i], columns, other.from);
    }
    *e = (struct safetensors_entry){.name = bare && part.name ? strchr(part.name, '.') + 1
                                                              : part.name,
                                    .dtype = DT_F32,
                                    .shape = part.shape,
                                    .count = shape_count(part.shape),
                                    .data = to};
    return 1;
}
