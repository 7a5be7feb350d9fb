/*
 * The conveniences of a stage, over the functions that the runner fills in.
 */
#include "retort/stage.h"
#include "retort/profile.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct stage_owned {
    struct stage_owned *next;
    void *what;
    void (*free)(void *what);
};

int stage_fail(struct stage *st, enum err_code code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    err_vset(&st->err, code, fmt, ap);
    va_end(ap);
    return -1;
}

bool stage_failed(const struct stage *st)
{
    return err_is_set(&st->err);
}

int stage_done(const struct stage *st)
{
    return stage_failed(st) ? -1 : 0;
}

/* Makes the stage free `what` at its end; frees it now if it cannot be noted. */
static int own(struct stage *st, void *what, void (*release)(void *))
{
    struct stage_owned *o = mem_new(1, sizeof *o, &st->err);

    if (!o) {
        release(what);
        return -1;
    }
    *o = (struct stage_owned){st->owned, what, release};
    st->owned = o;
    return 0;
}

void stage_release(struct stage *st)
{
    while (st->owned) {
        struct stage_owned *o = st->owned;
        st->owned = o->next;
        o->free(o->what);
        free(o);
    }
}

static void free_model(void *m)
{
    model_free(m);
}

static void free_dataset(void *d)
{
    dataset_free(d);
}

static void free_tape(void *t)
{
    tape_free(t);
}

/* ---- inputs ---- */

const struct task *stage_task(struct stage *st)
{
    return stage_failed(st) ? NULL : st->task(st, "task");
}

static int64_t count_not_finite(const struct param *p)
{
    const float *x = p->value.data;
    int64_t n = 0;

    for (int64_t i = 0; x && i < shape_count(p->value.shape); i++)
        n += !isfinite(x[i]);
    return n;
}

/* Such a model can be worked with, but nobody should take its numbers for results. */
static void tell_not_finite(struct stage *st, const char *input, const struct model *m)
{
    const char *first = NULL;
    int64_t sum = 0;

    for (int64_t i = 0; i < m->n_params; i++) {
        int64_t n = count_not_finite(m->param[i]);
        if (n && !first)
            first = m->param[i]->name;
        sum += n;
    }
    if (sum)
        stage_note(st, "input \"%s\": %lld weights are NaN or infinite, the first in %s",
                   input, (long long)sum, first);
}

struct model *stage_model(struct stage *st, const char *input, const struct task *task)
{
    struct model *m = NULL;
    const char *path;
    enum head_kind head = task ? head_for_task(task) : HEAD_NONE;
    int64_t labels = task ? task->labels : 0;

    if (stage_failed(st))
        return NULL;
    path = st->input_path(st, input);
    if (path) {
        if (model_load(&m, path, head, labels, st->seed, &st->err))
            return NULL;
    } else {
        struct artifact *a = st->input_artifact(st, input, 0);
        if (!a) {
            stage_fail(st, ERR_INPUT, "input \"%s\" is not a model", input);
            return NULL;
        }
        if (artifact_model(&m, a, &st->err))
            return NULL;
        if (task && model_set_head(m, head, labels, st->seed, &st->err)) {
            model_free(m);
            return NULL;
        }
    }
    profile_lap("load the model");
    tell_not_finite(st, input, m);
    return own(st, m, free_model) ? NULL : m;
}

/* What a person should know of the data that was read. */
static void tell_left_out(struct stage *st, const struct task *task,
                          const struct split *split, const struct examples *raw)
{
    if (raw->left_out)
        stage_note(st,
                   "%s, split %s: %lld rows with a wrong number of fields are left out, "
                   "the first in line %lld",
                   task->name, split->name, (long long)raw->left_out,
                   (long long)raw->first_left_out);
}

/* Examples are counted when they are there: those of a text are its contexts. */
static int take_slice(struct stage *st, struct dataset **data, const struct split *part,
                      const char *text)
{
    const char *task = (*data)->task->name;
    int64_t n = (*data)->n;

    if (part->from >= n)
        return stage_fail(st, ERR_INPUT,
                          "%s, split %s has %lld examples: %s begins behind its end",
                          task, part->name, (long long)n, text);
    if (part->to != INT64_MAX && part->to > n)
        stage_note(st, "%s, split %s has %lld examples: %s[%lld:%lld] ends there", task,
                   part->name, (long long)n, part->name, (long long)part->from,
                   (long long)part->to);
    return dataset_slice(data, part->from, part->to < n ? part->to : n, &st->err);
}

struct dataset *stage_data(struct stage *st, const struct model *model, const char *split,
                           int64_t max_len, int64_t doc_stride)
{
    struct encoding how = {.max_len = max_len, .stride = doc_stride};

    return stage_encode(st, model, split, &how);
}

static bool tell_reading(void *ctx, int64_t done, int64_t total)
{
    struct stage *st = ctx;

    stage_progress(st, done, total, "reading, %lld %%",
                   (long long)(100 * done / (total > 0 ? total : 1)));
    return !stage_failed(st);
}

struct dataset *stage_encode(struct stage *st, const struct model *model,
                             const char *split, const struct encoding *wanted)
{
    const struct task *task = stage_task(st);
    struct encoding how = *wanted;
    struct examples *raw = NULL;
    struct dataset *data = NULL;
    struct split part;

    if (stage_failed(st) || !split[0] || !model || !task)
        return NULL;
    if (!model->tok) {
        stage_fail(st, ERR_INPUT,
                   "the model has no tokenizer: text cannot be read into it");
        return NULL;
    }
    if (split_parse(&part, split, &st->err))
        return NULL;
    how.causal = model->cfg.arch != HF_BERT;
    how.progress = tell_reading;
    how.progress_ctx = st;
    if (how.max_len > model->cfg.positions)
        how.max_len = model->cfg.positions;
    if (how.stride > how.max_len / 2) /* windows must get on */
        how.stride = how.max_len / 2;
    if (st->load(st, task, part.name, &raw, &st->err))
        return NULL;
    tell_left_out(st, task, &part, raw);
    if (dataset_encode_as(&data, task, raw, part.name, model->tok, &how, &st->err))
        return NULL;
    if (part.slice && take_slice(st, &data, &part, split)) {
        dataset_free(data);
        return NULL;
    }
    return own(st, data, free_dataset) ? NULL : data;
}

void stage_need_labels(struct stage *st, const struct dataset *data)
{
    int64_t i = stage_failed(st) || !data ? -1 : dataset_unlabelled(data);

    if (i >= 0)
        stage_fail(st, ERR_INPUT,
                   "%s: the answer of example %s is not told, but a loss needs it; use a "
                   "split with answers",
                   data->name, data->raw->v[i].id);
}

struct tape *stage_tape(struct stage *st, enum dtype compute)
{
    struct tape *tape = stage_failed(st) ? NULL : tape_new(st->pool, compute, &st->err);

    return tape && own(st, tape, free_tape) ? NULL : tape;
}

/* ---- telling ---- */

void stage_progress(struct stage *st, int64_t done, int64_t total, const char *fmt, ...)
{
    char text[160];
    va_list ap;

    if (!st->progress)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    st->progress(st, done, total, text);
}

void stage_note(struct stage *st, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    if (!st->note)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    st->note(st, text);
}

/* ---- recording ---- */

void stage_metric(struct stage *st, const char *name, int64_t step, double value)
{
    if (!stage_failed(st))
        st->rec.metric(st->rec.ctx, RECORD_RESULT, name, step, value, &st->err);
    profile_lap("record");
}

void stage_array(struct stage *st, const char *path, const struct array *a)
{
    if (!stage_failed(st))
        st->rec.array(st->rec.ctx, RECORD_RESULT, path, a, &st->err);
}

void stage_text(struct stage *st, const char *path, const char *text)
{
    if (!stage_failed(st))
        st->rec.text(st->rec.ctx, RECORD_RESULT, path, &text, -1, &st->err);
}

static void record_numbers(struct stage *st, const char *path, enum dtype dtype,
                           const void *v, int64_t rows, int64_t cols,
                           const char *row_name, const char *col_name)
{
    struct array a = {
        dtype, cols ? SHAPE(rows, cols) : SHAPE(rows), v, {row_name, col_name}};

    stage_array(st, path, &a);
}

void stage_floats(struct stage *st, const char *path, const float *v, int64_t rows,
                  int64_t cols, const char *row_name, const char *col_name)
{
    record_numbers(st, path, DT_F32, v, rows, cols, row_name, col_name);
}

void stage_doubles(struct stage *st, const char *path, const double *v, int64_t rows,
                   int64_t cols, const char *row_name, const char *col_name)
{
    record_numbers(st, path, DT_F64, v, rows, cols, row_name, col_name);
}

double stage_score(struct stage *st, const struct metric *m, const struct predictions *p)
{
    double value = (double)NAN;

    if (!stage_failed(st) && m->compute(&value, p, &st->err))
        err_prefix(&st->err, "%s on %s", m->name, p->data->name);
    return value;
}

/* Test sets are published without labels: not one is known. A span's examples are never
 * of this kind, no answer is an answer there. */
static bool labels_known(const struct dataset *d)
{
    for (int64_t i = 0; i < d->n; i++) {
        const struct example *ex = &d->raw->v[i];
        if (d->task->kind == TASK_REGRESSION ? !isnan(ex->value) : ex->label >= 0)
            return true;
    }
    return d->n == 0 || d->task->kind == TASK_SPAN || d->task->kind == TASK_MLM ||
           d->task->kind == TASK_LM;
}

static void record_metrics(struct stage *st, const struct predictions *p, int64_t step)
{
    const struct dataset *d = p->data;
    struct arena *a = st->arena;

    for (int64_t i = 0; d->task->metrics[i]; i++)
        if (metric_suits(d->task->metrics[i], p))
            stage_metric(
                st, arena_printf(a, "eval/%s/%s", d->name, d->task->metrics[i]->name),
                step, stage_score(st, d->task->metrics[i], p));
    stage_metric(st, arena_printf(a, "eval/%s/loss", d->name), step, p->loss);
}

/* What each context of a language model was scored on. */
static void record_counts(struct stage *st, const struct predictions *p, const char *base)
{
    const struct dataset *d = p->data;
    struct arena *a = st->arena;
    int64_t *words = arena_alloc(a, p->n * (int64_t)sizeof *words);
    int64_t *bytes = arena_alloc(a, p->n * (int64_t)sizeof *bytes);
    struct array v = {DT_I64, SHAPE(p->n), p->tokens, {"example"}};

    if (arena_failed(a, &st->err))
        return;
    stage_array(st, arena_printf(a, "%s/tokens", base), &v);
    for (int64_t i = 0; i < p->n; i++) {
        words[i] = d->seq[d->first[i]].words;
        bytes[i] = d->seq[d->first[i]].bytes;
    }
    if (!d->causal) /* which words were hidden is not counted */
        return;
    v.data = words;
    stage_array(st, arena_printf(a, "%s/words", base), &v);
    v.data = bytes;
    stage_array(st, arena_printf(a, "%s/bytes", base), &v);
}

static void tell_broken(struct stage *st, const struct predictions *p)
{
    int64_t n = 0;

    for (int64_t i = 0; i < p->n; i++) {
        bool broken = p->tokens && p->tokens[i] > 0 && !isfinite(p->score[i]);
        int64_t width = p->data->task->kind == TASK_CHOICE /* others may have more */
                            ? p->data->raw->v[i].n_choices
                            : p->width;
        for (int64_t c = 0; p->logits && c < width; c++)
            broken |= !isfinite(p->logits[i * p->width + c]);
        n += broken;
    }
    if (n)
        stage_note(st, "%s: outputs of %lld of %lld examples are NaN or infinite",
                   p->data->name, (long long)n, (long long)p->n);
}

void stage_predictions(struct stage *st, const struct predictions *p, int64_t step)
{
    const struct dataset *d = p->data;
    struct arena *a = st->arena;
    const char *base = arena_printf(a, "/eval/%s", d->name);
    const char **ids = arena_alloc(a, p->n * (int64_t)sizeof *ids);
    double *label = arena_alloc(a, p->n * (int64_t)sizeof *label);
    bool known = labels_known(d);

    if (stage_failed(st) || arena_failed(a, &st->err))
        return;
    for (int64_t i = 0; i < p->n; i++) {
        ids[i] = d->raw->v[i].id;
        label[i] = d->task->kind == TASK_REGRESSION ? d->raw->v[i].value
                                                    : (double)d->raw->v[i].label;
    }
    st->rec.text(st->rec.ctx, RECORD_RESULT, arena_printf(a, "%s/example_id", base), ids,
                 p->n, &st->err);
    if (d->task->kind != TASK_SPAN && d->task->kind != TASK_LM && known)
        stage_doubles(st, arena_printf(a, "%s/label", base), label, p->n, 0, "example",
                      NULL);
    if (p->pred) {
        struct array pred = {DT_I32, SHAPE(p->n), p->pred, {"example"}};
        stage_array(st, arena_printf(a, "%s/pred", base), &pred);
    }
    if (p->logits)
        stage_floats(st, arena_printf(a, "%s/logits", base), p->logits, p->n, p->width,
                     "example", "class");
    if (p->tokens)
        record_counts(st, p, base);
    if (p->prob)
        stage_doubles(st, arena_printf(a, "%s/prob", base), p->prob, p->n, p->width,
                      "example", "class");
    if (known)
        stage_doubles(st, arena_printf(a, "%s/score", base), p->score, p->n, 0, "example",
                      NULL);
    if (p->text && !stage_failed(st))
        st->rec.text(st->rec.ctx, RECORD_RESULT, arena_printf(a, "%s/text", base),
                     p->text, p->n, &st->err);
    tell_broken(st, p);
    if (p->answer && !stage_failed(st))
        st->rec.text(st->rec.ctx, RECORD_RESULT, arena_printf(a, "%s/answer", base),
                     p->answer, p->n, &st->err);
    if (p->null_odds)
        stage_doubles(st, arena_printf(a, "%s/null_odds", base), p->null_odds, p->n, 0,
                      "example", NULL);
    if (known)
        record_metrics(st, p, step);
    else
        stage_note(st, "%s has no labels: predictions are kept, there is no metric",
                   d->name);
}

/* Guesses of all examples, one after another. */
struct guesses {
    int64_t n;
    int64_t *first; /* of each example; one more at the end */
    float *start, *end;
    int64_t *text_end;
    struct strbuf text;
};

static int guesses_fill(struct guesses *g, const struct predictions *p, struct arena *a,
                        struct err *err)
{
    int64_t k = 0;

    for (int64_t i = 0; i < p->n; i++)
        g->n += p->guess[i].n;
    g->first = arena_alloc(a, (p->n + 1) * (int64_t)sizeof *g->first);
    g->start = arena_alloc(a, g->n * (int64_t)sizeof *g->start);
    g->end = arena_alloc(a, g->n * (int64_t)sizeof *g->end);
    g->text_end = arena_alloc(a, g->n * (int64_t)sizeof *g->text_end);
    if (arena_failed(a, err))
        return -1;
    for (int64_t i = 0; i < p->n; i++) {
        g->first[i] = k;
        for (int64_t j = 0; j < p->guess[i].n; j++, k++) {
            const struct span_guess *v = &p->guess[i].v[j];
            strbuf_puts(&g->text, span_text(p, i, *v));
            g->start[k] = v->start;
            g->end[k] = v->end;
            g->text_end[k] = (int64_t)g->text.len;
        }
    }
    g->first[p->n] = k;
    return arena_failed(p->arena, err) || strbuf_failed(&g->text, err) ? -1 : 0;
}

void stage_guesses(struct stage *st, const struct predictions *p)
{
    struct guesses g = {.text = STRBUF_INIT};
    struct arena *a = st->arena;
    const char *base = arena_printf(a, "/eval/%s/nbest", p->data->name);

    if (p->guess && !stage_failed(st) && !guesses_fill(&g, p, a, &st->err)) {
        struct array text = {
            DT_U8, SHAPE((int64_t)g.text.len), strbuf_text(&g.text), {"byte"}};
        record_numbers(st, arena_printf(a, "%s/first", base), DT_I64, g.first, p->n + 1,
                       0, NULL, NULL);
        stage_floats(st, arena_printf(a, "%s/start_logit", base), g.start, g.n, 0,
                     "guess", NULL);
        stage_floats(st, arena_printf(a, "%s/end_logit", base), g.end, g.n, 0, "guess",
                     NULL);
        record_numbers(st, arena_printf(a, "%s/text_end", base), DT_I64, g.text_end, g.n,
                       0, "guess", NULL);
        stage_array(st, arena_printf(a, "%s/text", base), &text);
    }
    strbuf_release(&g.text);
}

/* ---- models in runs ---- */

static void output_param(struct stage *st, const struct param *p)
{
    struct arena *a = st->arena;
    const char *path = arena_printf(a, "/tensors/%s", p->name);
    struct array v = {DT_F32, p->value.shape, p->value.data, {NULL}};

    if (arena_failed(a, &st->err))
        return;
    if (p->origin && !p->changed)
        st->rec.reference(st->rec.ctx, path, p->origin, &st->err);
    else
        stage_array(st, path, &v);
    if (p->mask) {
        struct array mask = {DT_U8, p->value.shape, p->mask, {NULL}};
        stage_array(st, arena_printf(a, "/masks/%s", p->name), &mask);
    }
}

/* (L, H) in the numbering of the full model: 1 where the head is there and not masked. */
static void output_heads(struct stage *st, const struct model *m)
{
    int64_t h = m->cfg.heads;
    float *keep = arena_zalloc(st->arena, m->cfg.layers * h * (int64_t)sizeof *keep);

    for (int64_t l = 0; keep && l < m->cfg.layers; l++)
        for (int64_t i = 0; i < m->block[l].attn.heads; i++)
            keep[l * h + m->block[l].attn.head_id[i]] = m->block[l].attn.keep[i];
    if (keep)
        stage_floats(st, "/masks/heads", keep, m->cfg.layers, h, "layer", "head");
}

/* The files it is made from. */
static void output_tokenizer(struct stage *st, const struct tokenizer *tok)
{
    const struct tokenizer_file *file;
    int n = tok ? tokenizer_files(tok, &file) : 0;

    for (int i = 0; i < n; i++) {
        struct array v = {DT_U8, SHAPE(file[i].len), file[i].text, {NULL}};
        stage_array(st, arena_printf(st->arena, "/model/tokenizer/%s", file[i].name), &v);
    }
}

void stage_output_model(struct stage *st, struct model *m)
{
    struct strbuf json = STRBUF_INIT;
    int32_t head;
    struct array kind = {DT_I32, SCALAR, &head, {NULL}};

    if (stage_failed(st))
        return;
    head = (int32_t)m->head;
    if (!hf_config_write(&m->cfg, &json, &st->err) && !strbuf_failed(&json, &st->err))
        stage_text(st, "/model/config", strbuf_text(&json));
    strbuf_release(&json);
    stage_array(st, "/model/head", &kind);
    output_tokenizer(st, m->tok);
    for (int64_t i = 0; i < m->n_params && !stage_failed(st); i++)
        output_param(st, m->param[i]);
    output_heads(st, m);
    stage_metric(st, "model/parameters", 0, (double)model_count(m));
    stage_metric(st, "model/parameters_kept", 0, (double)model_count_nonzero(m));
}

static int read_param(struct model *m, struct param *p, struct artifact *a,
                      struct err *err)
{
    char path[320];
    struct array v;
    struct err none = ERR_INIT;

    snprintf(path, sizeof path, "/tensors/%s", p->name);
    if (a->array(a->ctx, path, &v, err))
        return -1;
    if (v.dtype != DT_F32 || !shape_equal(v.shape, p->value.shape))
        return err_set(err, ERR_INPUT, "run %.10s: %s has not the shape its model says",
                       a->run_id, path);
    memcpy(p->value.data, v.data, (size_t)shape_count(v.shape) * sizeof(float));
    param_touch(p);
    p->changed = false;
    p->origin = arena_printf(m->arena, "%s:%s", a->run_id, path);
    snprintf(path, sizeof path, "/masks/%s", p->name);
    if (a->array(a->ctx, path, &v, &none))
        return 0; /* dense */
    if (v.dtype != DT_U8 || !shape_equal(v.shape, p->value.shape))
        return err_set(err, ERR_INPUT, "run %.10s: %s does not fit its tensor", a->run_id,
                       path);
    p->mask = arena_alloc(m->arena, shape_count(v.shape));
    if (!p->mask)
        return arena_failed(m->arena, err);
    memcpy(p->mask, v.data, (size_t)shape_count(v.shape));
    param_apply_mask(p);
    p->changed = false; /* reference and mask together are the tensor */
    return 0;
}

static int read_heads(struct model *m, struct artifact *a, struct err *err)
{
    struct array v;

    if (a->array(a->ctx, "/masks/heads", &v, err))
        return -1;
    if (v.dtype != DT_F32 || !shape_equal(v.shape, SHAPE(m->cfg.layers, m->cfg.heads)))
        return err_set(err, ERR_INPUT, "run %.10s: /masks/heads does not fit its model",
                       a->run_id);
    for (int64_t l = 0; l < m->cfg.layers; l++)
        for (int64_t h = 0; h < m->block[l].attn.heads; h++)
            m->block[l].attn.keep[h] =
                ((const float *)v.data)[l * m->cfg.heads + m->block[l].attn.head_id[h]];
    return 0;
}

/* NULL if the run holds none. */
static int read_tokenizer(struct tokenizer **out, struct artifact *a, bool lower_case,
                          struct err *err)
{
    struct tokenizer_file file[TOKENIZER_FILES_MAX];
    struct err none = ERR_INIT;
    const char *const *name;
    int n = 0;

    if (a->list(a->ctx, "/model/tokenizer", &name, &none))
        return 0;
    for (; name[n]; n++) {
        char path[128];
        struct array v;
        int len = snprintf(path, sizeof path, "/model/tokenizer/%s", name[n]);
        if (n == TOKENIZER_FILES_MAX || len < 0 || (size_t)len >= sizeof path)
            return err_set(err, ERR_INPUT,
                           "run %.10s: /model/tokenizer holds what no tokenizer has",
                           a->run_id);
        if (a->array(a->ctx, path, &v, err))
            return -1;
        if (v.dtype != DT_U8)
            return err_set(err, ERR_INPUT, "run %.10s: %s is not bytes", a->run_id, path);
        file[n] = (struct tokenizer_file){name[n], v.data, shape_count(v.shape), NULL};
    }
    return n > 0 ? tokenizer_new(out, file, n, lower_case, err) : 0;
}

int artifact_model(struct model **out, struct artifact *a, struct err *err)
{
    const char *const *config;
    int64_t n;
    struct array kind, pooler;
    struct err none = ERR_INIT;
    struct hf_config cfg;
    struct arena *arena = arena_new(err);
    struct tokenizer *tok = NULL;
    struct model *m = NULL;
    int rc = -1;

    if (!arena || a->text(a->ctx, "/model/config", &config, &n, err) ||
        hf_config_parse(&cfg, config[0], (int64_t)strlen(config[0]), "/model/config",
                        arena, err) ||
        a->array(a->ctx, "/model/head", &kind, err))
        goto done;
    int32_t head = kind.dtype == DT_I32 ? *(const int32_t *)kind.data : -1;
    if (head < HEAD_NONE || head > HEAD_LM) {
        err_set(err, ERR_INPUT, "run %.10s: /model/head is no kind of head", a->run_id);
        goto done;
    }
    if (read_tokenizer(&tok, a, cfg.lower_case, err))
        goto done;
    if (model_empty(
            &m, &cfg, (enum head_kind)head,
            !a->array(a->ctx, "/tensors/bert.pooler.dense.weight", &pooler, &none), tok,
            err))
        goto done;
    tok = NULL;
    for (int64_t i = 0; i < m->n_params; i++)
        if (read_param(m, m->param[i], a, err))
            goto done;
    if (read_heads(m, a, err))
        goto done;
    *out = m;
    m = NULL;
    rc = 0;
done:
    model_free(m);
    tokenizer_free(tok);
    arena_free(arena);
    return rc;
}
