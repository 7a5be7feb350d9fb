/*
 * Texts for language models: the reader of plain texts and of JSON, that built-in and
 * declared tasks share.
 *
 *   .json, .jsonl   a document is a member of each object, of a list or of lines
 *   other           the file is one document, or several with a separator between them
 *                   (white space around these, and blank ones, are left out)
 *
 * A file must be UTF-8 without zero bytes.
 */
#ifndef RETORT_EVALS_LM_H
#define RETORT_EVALS_LM_H

#include "retort/task.h"

/* Which part of a file belongs to a split: of several documents each twentieth is held
 * out; of a single one its last twentieth, from a line's beginning. */
enum corpus_part { CORPUS_ALL, CORPUS_LEARN, CORPUS_HELD };

struct corpus_split {
    const char *name;
    const char *const *files; /* NULL-terminated; all of them are read, in this order */
    enum corpus_part part;
};

/* What task.config points to. */
struct corpus {
    const struct corpus_split *splits; /* up to one whose name is NULL */
    const char *separator;             /* of plain texts; NULL: one document */
    /* JSON: the document, and what follows it after a space, or NULL. Alternatives are
     * separated by "|". */
    const char *member, *more;
    enum task_format format; /* AUTO: by the suffix; TSV: plain text; JSONL */
};

/* task.files and task.load of such a task; task.every_file is true. */
const char *const *corpus_files(const struct task *task, const char *split);
int corpus_load(const struct task *task, const struct task_source *src,
                struct examples *out, struct err *err);

#endif
