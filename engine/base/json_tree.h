/* What the files of the JSON reader share: diags.c, json_check.c, json.c, json_write.c.
 */
#ifndef RETORT_BASE_JSON_TREE_H
#define RETORT_BASE_JSON_TREE_H

#include <stdarg.h>

#include "retort/json.h"

struct json {
    enum json_kind kind;
    bool flag;
    bool whole; /* a whole number of at most 2^53 in size */
    double number;
    int64_t begin, end;         /* bytes of the value */
    int64_t key_begin, key_end; /* bytes of its key with the quotes; -1 without */
    const char *key, *string;   /* in cJSON's tree */
    struct json *first, *next;
    const struct json *
        *child; /* (count) an array's in order, an object's sorted by key */
    int64_t count;
};

struct json_doc {
    char *text; /* with a NUL after it */
    int64_t len;
    char *name;
    struct json *node; /* in the order of the text */
    int64_t n, capacity;
    const struct json **child; /* all values' child lists, one after another */
    int64_t n_child;
    struct cJSON *tree;
};

/* diags.c: diags_add with its arguments in a list; the lack of memory as an error. */
void diags_vadd(struct diags *diags, const char *name, const char *text, int64_t begin,
                int64_t end, const char *fmt, va_list ap)
    __attribute__((format(printf, 6, 0)));
void diags_no_memory(struct diags *diags);

/* json_check.c: at most how many values the text holds. */
int64_t json_count_values(const char *text, int64_t len);
/* Checks doc->text and fills in its nodes, all but the strings. -1 with errors. */
int json_check(struct json_doc *doc, struct diags *diags);

#endif
