/* retort generate: text from a language model, as it comes. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "query.h"
#include "retort/file.h"
#include "retort/generate.h"
#include "retort/pool.h"
#include "retort/store.h"
#include "retort/utf8.h"
#include "verbs.h"

struct generate_args {
    struct common common;
    const char *model, *prompt;
    int64_t tokens, top_k, beams, seed, count;
    double temperature, top_p, length_penalty;
    int dtype, begin;
    bool no_cache, endless;
};

static const char *const dtypes[] = {"f32", "bf16", NULL};
static const char *const begins[] = {"auto", "yes", "no", NULL};

/* What was shown of the text so far. */
struct teller {
    const struct tokenizer *tok;
    struct tokens prompt; /* without its beginning token */
    struct strbuf text, clean;
    size_t shown;
    bool tty, marked;
};

/* A checkpoint by its path, or a run's model. */
static int load(struct model **out, const struct generate_args *a, struct err *err)
{
    struct store *store = NULL;
    struct run *run = NULL;
    char id[65];
    int rc = -1;

    if (file_exists(a->model))
        return model_load(out, a->model, HEAD_LM, 0, 0, err);
    if (!file_exists(a->common.store))
        return err_set(err, ERR_MISSING,
                       "%s is no checkpoint, and there is no store %s with such a run",
                       a->model, a->common.store);
    if (!store_open(&store, a->common.store, false, err) &&
        !find_run(store, a->model, id, err) && !run_open(&run, store, id, false, err)) {
        rc = artifact_model(out, run_artifact(run), err);
        if (rc)
            err_prefix(err, "run %.10s has no model", id);
    }
    run_close(run);
    store_close(store);
    return rc;
}

/* Bytes of the text that are whole characters. */
static size_t whole(const struct strbuf *text)
{
    size_t n = text->len;

    for (size_t back = 1; back <= 3 && back <= n; back++) {
        unsigned char c = (unsigned char)text->text[n - back];
        if (c < 0x80)
            return n;
        if (c >= 0xc0) {
            size_t need = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
            return need > back ? n - back : n;
        }
    }
    return n;
}

/* Shows what is new; the last, broken character waits for its other bytes. */
static bool tell(void *ctx, const struct tokens *out, bool last)
{
    struct teller *t = ctx;
    size_t end;

    strbuf_clear(&t->text);
    strbuf_clear(&t->clean);
    if (out->n + t->prompt.n > 0) {
        struct strbuf *sb = &t->text;
        int64_t n = t->prompt.n + out->n;
        int32_t *id = mem_new(n, sizeof *id, NULL);
        if (!id)
            return false;
        if (t->prompt.n)
            memcpy(id, t->prompt.id, (size_t)t->prompt.n * sizeof *id);
        if (out->n)
            memcpy(id + t->prompt.n, out->id, (size_t)out->n * sizeof *id);
        tokenizer_decode(t->tok, id, n, sb);
        free(id);
    }
    end = last ? t->text.len : whole(&t->text);
    if (t->shown == 0 && end > 0 && t->text.text[0] == ' ' && t->marked)
        t->shown = 1; /* the space that SentencePiece puts before a text */
    if (end <= t->shown)
        return true;
    strbuf_add(&t->clean, t->text.text + t->shown, end - t->shown);
    t->shown = end;
    if (t->tty)
        clean_text(&t->clean);
    fwrite(strbuf_text(&t->clean), 1, t->clean.len, stdout);
    return !t->tty || fflush(stdout) == 0;
}

static bool tell_each(void *ctx, const struct tokens *out)
{
    return tell(ctx, out, false);
}

/* The beginning token, where the kind of tokenizer has one that is not its end; and the
 * tokens of the text. */
static int encode(struct tokens *out, const struct model *m,
                  const struct generate_args *a, struct err *err)
{
    struct special_ids sp = tokenizer_special(m->tok);
    int32_t begin = sp.bos >= 0 ? sp.bos : sp.eos >= 0 ? sp.eos : sp.cls;
    bool own = sp.bos >= 0 && sp.bos != sp.eos;
    struct tokens head = {NULL, NULL, NULL, 0, 0};
    const char *text = a->prompt ? a->prompt : "";
    int rc = -1;

    if (tokenizer_encode(m->tok, text, (int64_t)strlen(text), &head, err))
        goto done;
    out->id = mem_new(head.n + 1, sizeof *out->id, err);
    if (!out->id)
        goto done;
    if (begin >= 0 && a->begin != 2 && (own || a->begin == 1 || head.n == 0))
        out->id[out->n++] = begin;
    if (head.n)
        memcpy(out->id + out->n, head.id, (size_t)head.n * sizeof *out->id);
    out->n += head.n;
    rc = 0;
done:
    tokens_release(&head);
    return rc;
}

static int one(struct model *m, struct tape *tape, const struct generate_args *a,
               const struct tokens *prompt, int64_t number, struct err *err)
{
    struct decoding how = {.tokens = a->tokens,
                           .temperature = a->temperature,
                           .top_k = a->top_k,
                           .top_p = a->top_p,
                           .beams = a->beams,
                           .length_penalty = a->length_penalty,
                           .seed = (uint64_t)a->seed,
                           .number = number,
                           .no_cache = a->no_cache,
                           .endless = a->endless};
    struct tokens out = {NULL, NULL, NULL, 0, 0};
    struct teller t = {.tok = m->tok, .text = STRBUF_INIT, .clean = STRBUF_INIT};
    int rc;

    t.tty = isatty(STDOUT_FILENO);
    t.prompt = *prompt;
    t.marked = !a->prompt || a->prompt[0] != ' ';
    tell(&t, &out, false);
    rc = generate(&out, m, tape, prompt->id, prompt->n, &how, tell_each, &t, err);
    if (rc == 0) {
        tell(&t, &out, true);
        fputc('\n', stdout);
        if (fflush(stdout) || ferror(stdout))
            rc = err_errno(err, "standard output");
    }
    strbuf_release(&t.text);
    strbuf_release(&t.clean);
    tokens_release(&out);
    return rc;
}

static int check(const struct generate_args *a, struct err *err)
{
    if (a->beams > 1 && a->temperature > 0)
        return err_set(
            err, ERR_INPUT,
            "--beams searches for the likeliest text, --temperature draws one; "
            "give one of them");
    if ((a->top_k > 0 || a->top_p < 1) && a->temperature <= 0)
        return err_set(err, ERR_INPUT,
                       "--top-k and --top-p are of draws: give a "
                       "--temperature too, such as 1");
    return 0;
}

static int run(const void *given)
{
    const struct generate_args *a = given;
    struct err err = ERR_INIT;
    struct tokens prompt = {NULL, NULL, NULL, 0, 0};
    struct model *m = NULL;
    struct pool *pool = NULL;
    struct tape *tape = NULL;

    if (check(a, &err) || load(&m, a, &err))
        goto done;
    if (!m->tok) {
        err_set(&err, ERR_INPUT, "%s has no tokenizer: text cannot be read into it",
                a->model);
        goto done;
    }
    pool = pool_new((int)a->common.threads, &err);
    tape = pool ? tape_new(pool, a->dtype == 1 ? DT_BF16 : DT_F32, &err) : NULL;
    if (!tape || encode(&prompt, m, a, &err))
        goto done;
    for (int64_t i = 0; i < a->count && !err_is_set(&err); i++) {
        if (i)
            fputc('\n', stdout);
        one(m, tape, a, &prompt, i, &err);
    }
done:
    tokens_release(&prompt);
    tape_free(tape);
    pool_free(pool);
    model_free(m);
    return err_is_set(&err) ? tell_error(&err) : 0;
}

#define AT(field) offsetof(struct generate_args, field)
static const struct operand operands[] = {
    {.name = "MODEL",
     .help = "a decoder: a Hugging Face folder, a file of llama2.c, or a run (the first "
             "digits of its id, its label, \"latest\")",
     .offset = AT(model)},
    OPERAND_END,
};
static const struct flag flags[] = {
    {.name = "prompt",
     .letter = 'p',
     .type = OPT_STRING,
     .value = "TEXT",
     .help = "what to continue; none: from the beginning token",
     .offset = AT(prompt)},
    {.name = "tokens",
     .letter = 'n',
     .type = OPT_INT,
     .value = "N",
     .def = "256",
     .min = 1,
     .max = 1e6,
     .help = "at most so many new tokens",
     .offset = AT(tokens)},
    {.name = "temperature",
     .letter = 't',
     .type = OPT_REAL,
     .value = "X",
     .def = "0",
     .min = 0,
     .max = 100,
     .help = "draw from softmax(logits / X); 0: the likeliest token",
     .offset = AT(temperature)},
    {.name = "top-k",
     .type = OPT_INT,
     .value = "N",
     .def = "0",
     .min = 0,
     .max = 1e9,
     .help = "draw among the N likeliest; 0: all",
     .offset = AT(top_k)},
    {.name = "top-p",
     .type = OPT_REAL,
     .value = "P",
     .def = "1",
     .min = 0,
     .max = 1,
     .help = "draw among the fewest whose probabilities sum to P",
     .offset = AT(top_p)},
    {.name = "beams",
     .type = OPT_INT,
     .value = "N",
     .def = "1",
     .min = 1,
     .max = 256,
     .help = "search the likeliest text with N side by side",
     .offset = AT(beams)},
    {.name = "length-penalty",
     .type = OPT_REAL,
     .value = "X",
     .def = "1",
     .min = -10,
     .max = 10,
     .help = "of beams: log-likelihoods are divided by length to the power X",
     .offset = AT(length_penalty)},
    {.name = "seed",
     .type = OPT_INT,
     .value = "N",
     .def = "1",
     .min = 0,
     .max = 9007199254740991,
     .help = "of the draws",
     .offset = AT(seed)},
    {.name = "count",
     .type = OPT_INT,
     .value = "N",
     .def = "1",
     .min = 1,
     .max = 1e6,
     .help = "so many texts, each with draws of its own",
     .offset = AT(count)},
    {.name = "begin",
     .type = OPT_ENUM,
     .choices = begins,
     .help =
         "a beginning token before the prompt; auto: where the tokenizer has one that "
         "is not its end of text too",
     .offset = AT(begin)},
    {.name = "dtype",
     .type = OPT_ENUM,
     .choices = dtypes,
     .help = "type of matrix products",
     .offset = AT(dtype)},
    {.name = "endless",
     .type = OPT_BOOL,
     .help = "go on where a text ends",
     .offset = AT(endless)},
    {.name = "no-cache",
     .type = OPT_BOOL,
     .help = "a whole pass for each token: the same text, slowly",
     .offset = AT(no_cache)},
    FLAG_END,
};

const struct verb verb_generate = {
    .name = "generate",
    .group = "Results",
    .summary = "text from a language model",
    .operands = operands,
    .flags = flags,
    .common = COMMON_STORE | COMMON_THREADS,
    .about = "The prompt and its continuation go to standard output, as they come. The "
             "same model, prompt, options and seed give the same text, for any number of "
             "threads.",
    .size = sizeof(struct generate_args),
    .run = run,
};
