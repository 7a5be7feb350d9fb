/*
 * Tasks, examples and datasets.
 *
 * A task names a problem: what its input looks like, its labels, its metrics, and how its
 * files are read. task -> raw examples (text) -> dataset (tokens) -> batches. Loading is
 * the task's one function; everything after it is shared.
 *
 * A new task is one file in evals/tasks and one line in evals/tasks/list.def
 * (docs/add-a-task.md).
 */
#ifndef RETORT_TASK_H
#define RETORT_TASK_H

#include "retort/mem.h"
#include "retort/tokenizer.h"

enum task_kind {
    TASK_CLASSES,    /* one of n labels; one or two texts */
    TASK_REGRESSION, /* a number; one or two texts */
    TASK_SPAN, /* a question (text a), a context (text b), an answer inside it or none */
    TASK_CHOICE, /* a question (text a), n candidates */
    TASK_MLM,    /* text; some tokens are hidden and to be told */
    TASK_LM, /* documents of text (a); each next token is to be told: "language models"
                below */
};

struct answer {
    const char *text;
    int64_t begin; /* byte in the context; -1: unknown */
};

/* One example, as read. Strings live in the arena of its list. */
struct example {
    const char *id;    /* the file's own name of it, or its number */
    const char *a, *b; /* b NULL: a single text */
    int32_t label;     /* class or right choice; -1: not known (a test set) */
    double value;      /* regression; NaN: not known */
    const char **choices;
    int64_t n_choices;
    /* What a decoder reads for choice c: prompts[c], then a space and endings[c], whose
     * likelihood is its score. NULL: "a b" (or a alone) and the choices. */
    const char **prompts, **endings;
    struct answer *answers; /* spans; none and answerable false: no answer */
    int64_t n_answers;
    bool answerable;
};

struct examples {
    struct arena *arena;
    struct example *v;
    int64_t n, capacity;
    int64_t left_out;       /* rows that the reader could not use, and was told to skip */
    int64_t first_left_out; /* the line of the first of them */
};
struct examples *examples_new(struct err *err);
void examples_free(struct examples *ex);
/* A new zeroed example at the end (label -1, value NaN), or NULL with err. */
struct example *examples_add(struct examples *ex, struct err *err);

struct predictions;

/* A metric: a function of predictions and labels, identified by its name. See
 * evals/metrics. */
struct metric {
    const char
        *name; /* "accuracy", "f1", "matthews", "pearson", "spearman", "exact_match" */
    const char *summary;
    bool larger_is_better;
    double low, high; /* what it cannot pass; both 0: no bounds */
    int64_t version;
    /* 0 and *out; -1 with err if it is not defined on such predictions. */
    int (*compute)(double *out, const struct predictions *p, struct err *err);
    /* A metric that some models' predictions have and others' have not: false where it is
     * to be left out. NULL: always there. */
    bool (*suits)(const struct predictions *p);
};

static inline bool metric_suits(const struct metric *m, const struct predictions *p)
{
    return !m->suits || m->suits(p);
}

/* What load is asked for. */
struct task_source {
    const char *dir;   /* folder of the files, or NULL for generated tasks */
    const char *split; /* "train", "dev", "test", ... */
};

struct task {
    const char *name; /* "glue/mrpc" */
    const char *summary;
    enum task_kind kind;
    int64_t labels;                      /* classes; 1 for regression */
    const char *const *label_names;      /* NULL-terminated, or NULL */
    const struct metric *const *metrics; /* NULL-terminated; the first is the main one */
    const char *const *splits;           /* NULL-terminated */
    int64_t version; /* raise when the examples or their reading change */
    int64_t max_len; /* usual cut in tokens, with [CLS] and [SEP] */
    bool no_answer;  /* spans: a question may have none (SQuAD 2.0) */
    /* The files of a split relative to the data folder, NULL-terminated: candidates,
     * first that exists is read ("MRPC/dev.tsv", "MRPC/dev.jsonl"). NULL: generated. */
    const char *const *(*files)(const struct task *task, const char *split);
    /* Reads a split. An error names file, line and field. */
    int (*load)(const struct task *task, const struct task_source *src,
                struct examples *out, struct err *err);
    bool every_file; /* a split is all the files of `files`, in that order */
    /* A line of GLUE's submission file for predictions; NULL if there is none. */
    const char *submission; /* file name, "MRPC.tsv" */
    const char *vocab;      /* generated tasks: text of their vocab.txt; else NULL */
    const void *config;     /* of a family of tasks: which one */
};

/* The registry (evals/tasks/list.def), NULL-terminated; and by name, or NULL. */
const struct task *const *task_list(void);
const struct task *task_find(const char *name);
const struct metric *const *metric_list(void);
const struct metric *metric_find(const char *name);

/* ---- tasks of one's own ---- */

/* A table of examples: TSV (no quoting: a quote is text; BOM and CRLF are tolerated) or
 * JSONL (one object per line). A column is a name of the header line, or a number from 1
 * ("3"); a member's name in JSONL. Alternatives are separated by "|"
 * ("sentence1|premise"): the first that is there counts. A label is one of the label
 * names, or its number from 0. */
struct task_columns {
    const char *a, *b, *label, *id; /* b, id NULL: none; label NULL: not known */
    bool header;                    /* TSV: the first line names the columns */
};

enum task_format {
    TASK_FORMAT_AUTO,
    TASK_FORMAT_TSV,
    TASK_FORMAT_JSONL
}; /* auto: by the suffix */

struct task_file {
    const char *split, *path;
};

struct task_decl {
    const char *name, *summary; /* "my/intents"; summary may be NULL */
    enum task_kind kind;        /* TASK_CLASSES, TASK_REGRESSION, TASK_MLM, TASK_LM, or
                                   TASK_SPAN: files of SQuAD's form */
    bool no_answer;             /* TASK_SPAN: there may be none (SQuAD 2.0) */
    const char *dir;            /* paths are relative to it; NULL: as they are */
    /* TASK_LM: a split may have several, neighbours here; they are read one after
     * another. Not a table but texts, or JSON with the text in columns.a ("text" if
     * NULL). */
    const struct task_file *files;
    int64_t n_files;
    enum task_format format;
    struct task_columns columns;
    const char *separator;          /* TASK_LM: between documents; NULL: a file is one */
    const char *const *label_names; /* n_labels of them; TASK_CLASSES */
    int64_t n_labels;
    const char *const
        *metrics;    /* names, NULL-terminated, main one first; NULL: by the kind */
    int64_t max_len; /* 0: 128 */
};

/* Checks the declaration and makes a task of it; everything is copied into `arena`. */
int task_declare(struct task **out, const struct task_decl *decl, struct arena *arena,
                 struct err *err);

/* ---- tokens ---- */

/* One row of model input: a sequence. Several may come from one example (choices; windows
 * of a long context). Positions count from 0; types are 0 for text a and 1 for text b. */
struct sequence {
    int32_t *id, *type; /* n tokens, in the dataset's arena */
    int32_t n;
    int32_t example; /* its index in the dataset */
    int32_t part;    /* choice or window number */
    int32_t label;   /* class; -1 unknown */
    float value;
    int32_t start, end; /* span: token positions of the answer, 0 0 ([CLS]) for none in
                         * this window; -1 -1: not known */
    bool cut;        /* something was left out for max_len (windows: of the question) */
    int32_t context; /* span: position of the context's first token */
    int32_t *from, *to; /* span: bytes of the context for each token, -1 outside of it */
    bool *best; /* span: this window holds the most context around the token; or NULL */
    /* Language models, and choices read by a decoder: target[i] is the token that follows
     * token i. Those of score_from <= i < score_to count. */
    const int32_t *target;
    int32_t score_from, score_to;
    int64_t words, bytes; /* of text that the counted targets spell */
};

/* Of TASK_LM: how a stream of tokens is cut, see "language models" below. */
enum lm_windows {
    /* Tokens k * step and on; targets follow them, those that no window before had count:
     * each token once. */
    LM_WINDOWS_ALL,
    /* As the loop of Hugging Face's guide: targets lie inside the window. With step =
     * max_len the first token of each window is not told; with a smaller one that of the
     * first window alone. */
    LM_WINDOWS_INSIDE,
};

/*
 * How the answer of a span task is read off the logits of its windows, as run_squad of
 * the BERT repository does it (Devlin et al. 2019, 4.2 and 4.3):
 *
 * Of each window the n_best largest starts and ends are paired (of equal logits the first
 * token's). A pair counts if both lie in the context, the end is not before the start and
 * the answer not longer than max_answer tokens, and if its start has more context in this
 * window than in any other that it is part of. Pairs of all windows are ordered by the
 * sum of both logits; of two with one text the better is kept; n_best remain. The text is
 * cut out of the context.
 *
 * Where a question may have no answer, the null score is the least sum of the logits of
 * [CLS] among the windows; its odds are that sum less the best answer's. If they are
 * above null_threshold, no answer is given.
 */
struct span_rule {
    int64_t n_best;
    int64_t max_answer;
    double null_threshold;
};

/* An encoded split. Examples are in the file's order, or in the slice's: raw->v[i],
 * first[i] and index[i] speak of the same example i. seq[], first[] and index[] are on
 * the heap, the sequences' arrays in the arena. */
struct dataset {
    const struct task *task;
    char name[96]; /* "glue/mrpc/train" or "glue/mrpc/train[0:500]": names its random
                      streams */
    struct arena *arena;
    struct examples *raw;
    struct sequence *seq;
    int64_t n_seq;
    int64_t *first;   /* of example i: its sequences are first[i] .. first[i + 1] - 1 */
    int64_t n;        /* examples */
    int64_t *index;   /* example i's number in the whole split */
    int64_t n_tokens; /* in all sequences */
    int64_t max_len;
    int64_t n_cut; /* sequences that were cut at max_len */
    struct special_ids special;
    int64_t n_vocab; /* tokens of the tokenizer */
    bool causal;     /* sequences have targets */
    enum lm_windows windows;
    struct span_rule span; /* 20, 30 and 0, unless the caller changes them */
};

/*
 * Language models. A dataset of TASK_LM is made of contexts, not of documents:
 *
 *   joined    Documents stand one after another in the file's order as one stream of
 *             tokens, each with the beginning token before it: the tokenizer's bos, else
 *             its eos (GPT-2's <|endoftext|>), else [CLS]; none if it has none.
 *   cut       Context k holds the tokens k * max_len and on of the stream, max_len of
 *             them, the last one fewer. Its targets are the tokens that follow each of
 *             them, so the last target is the first token of the next context: every
 *             token of the stream is told once but the very first, a beginning token.
 *   borders   As GPT-2 was pretrained: a context takes no notice of documents. Positions
 *             count from its start, attention looks across borders inside it, the
 *             beginning tokens are targets too (so that a model learns where texts end).
 *   example   One context: what orders, slices, batches and streams of dropout count, and
 *             what predictions speak of. raw->v[i] is it too: its id is its number, its
 *             text is empty.
 *
 * Bytes and words (runs of what is no white space) belong to the token in which they
 * begin; those of beginning tokens are none.
 *
 * An encoder reads the same stream by masked language modelling (HEAD_MLM): contexts
 * [CLS] ... [SEP] of max_len tokens, documents joined by [SEP], hidden tokens as in
 * TASK_MLM.
 */

enum begin {
    BEGIN_AUTO, /* TASK_LM: yes; choices: no (as lm-eval), unless there is no prompt */
    BEGIN_YES,
    BEGIN_NO,
};

/* How text becomes sequences. Zeros but for max_len: an encoder's. */
struct encoding {
    int64_t max_len;
    int64_t stride; /* spans: overlap of the windows of a long context */
    bool causal;    /* for a decoder: next tokens are told, not hidden ones; a choice's
                          sequence is [begin] prompt ending, its targets the ending's */
    int64_t step;   /* TASK_LM: from a window to the next; 0: max_len, no overlap */
    enum lm_windows windows;
    int begin;  /* enum begin: of beginning tokens */
    bool apart; /* TASK_LM: windows end with their document, each is told from its own
                   beginning token, which is no target */
    /* If set: told every megabyte or so how much is read, in bytes of all texts (TASK_LM)
     * or in examples; false stops reading (ERR_STOPPED). */
    bool (*progress)(void *ctx, int64_t done, int64_t total);
    void *progress_ctx;
};
int dataset_encode_as(struct dataset **out, const struct task *task, struct examples *raw,
                      const char *split, const struct tokenizer *tok,
                      const struct encoding *how, struct err *err);

/* dataset_encode_as for an encoder, TASK_LM: for a decoder, with contexts as above. Pairs
 * are cut longest first, as the reference does; spans get windows with `stride`
 * tokens of overlap (a question that leaves too little room for them is cut). A choice's
 * second text is "b choice" where the example has a b. Takes over `raw`, also on failure.
 */
int dataset_encode(struct dataset **out, const struct task *task, struct examples *raw,
                   const char *split, const struct tokenizer *tok, int64_t max_len,
                   int64_t stride, struct err *err);
/* What names a split: "train", or positions from a to b - 1 of it, "train[a:b]"; either
 * bound may be left out. ERR_INPUT if it is neither. */
struct split {
    char name[64];
    bool slice;
    int64_t from, to; /* to INT64_MAX: the end */
};
int split_parse(struct split *out, const char *text, struct err *err);
/* "train[a:b]": positions a to b - 1 of one fixed permutation of the split, in its order:
 * stream "slice/<task>/<split>" of seed 0. *data itself is changed; on failure it stays
 * as it was. A slice cannot be sliced again. */
int dataset_slice(struct dataset **data, int64_t from, int64_t to, struct err *err);
void dataset_free(struct dataset *data);
/* The first example whose answer is not told (a test set), or -1 if all are. */
int64_t dataset_unlabelled(const struct dataset *data);

/* ---- batches ---- */

/* Packed input of a step: B sequences, N tokens. Arrays live in the arena given to
 * batch_fill. */
struct batch {
    int64_t n_seq, n_tok, n_examples;
    int32_t *id, *type, *position; /* (N) */
    int32_t
        *row_example; /* (N) example number in the whole split: names dropout's draws */
    int32_t *offset;  /* (B + 1) */
    int32_t *label;   /* (B), or (n_examples) for choices */
    float *value;     /* (B) */
    int32_t *start, *end;         /* (B) */
    int64_t *seq;                 /* (B) index into dataset->seq */
    int64_t *example;             /* (n_examples) index into the dataset */
    int32_t *mlm_row, *mlm_label; /* (n_mlm) rows that were hidden, and what they were;
                                   * causal: rows with a target that counts, and it */
    int64_t n_mlm;
};

/* The batch of examples pick[0 .. n-1], with all their sequences. Which tokens of a
 * masked LM are hidden depends on the example alone (seed 0, stream
 * "mlm/<task>/<split>/<example>/<part>"): 15 % of the text's tokens, at least one; of
 * these 80 % become [MASK], 10 % a random token, 10 % stay. */
int batch_fill(struct batch *batch, const struct dataset *data, const int64_t *pick,
               int64_t n, struct arena *arena, struct err *err);

/* Order of an epoch: a permutation of 0 .. n-1 by the stream "order/<data
 * name>/<epoch>". */
int64_t *dataset_order(const struct dataset *data, uint64_t seed, int64_t epoch,
                       struct arena *arena);

/* ---- predictions ---- */

/* A possible answer: bytes of the context, or one of these. */
enum {
    SPAN_NONE = -1, /* no answer, "" */
    SPAN_EMPTY = -2 /* of a question none of whose pairs counts: the word "empty", with
                     * logits of 0, as run_squad has it */
};
struct span_guess {
    int32_t from, to;
    float start, end; /* logits */
};
struct span_list {
    struct span_guess *v;
    int64_t n;
};

/* What a model said about a dataset, example by example, in its order. */
struct predictions {
    const struct dataset *data;
    struct arena *arena;
    int64_t n;
    int64_t width; /* logits of one example: classes, 1, choices */
    float *logits; /* (n, width); spans: best start and end logit */
    double
        *prob; /* (n, width): softmax in double; regression: the value; NULL for spans */
    int32_t *pred;     /* (n) class or choice; NULL for regression and spans */
    double *score;     /* (n) loss of the example in nats (NaN if the label is unknown) */
    int64_t *tokens;   /* (n) TASK_LM: targets that count; score is their mean */
    bool likelihood;   /* choices: logits are log-likelihoods, of a decoder */
    const char **text; /* (n) spans: the answer, "" for none */
    /* Spans: the best answer, and where there may be none how much better none would be
     * (the null score less the answer's); `text` is "" where that is above the threshold.
     * NULL where every question has an answer. */
    const char **answer;     /* (n) */
    double *null_odds;       /* (n) */
    struct span_list *guess; /* (n) spans: the best answers, best first */
    double loss;             /* mean of score where known; TASK_LM: of all its tokens */
};
void predictions_free(struct predictions *p);
/* The text of one of example i's guesses, in the predictions' arena. */
const char *span_text(const struct predictions *p, int64_t i, struct span_guess g);

#endif
