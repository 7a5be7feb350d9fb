/*
 * Python's pickles (protocols 2 to 5), read as data. Nothing is imported, looked up or
 * called: a name is a node, and "call this with that" is a node that says so. Private to
 * engine/formats.
 *
 * Only the names that the caller lists may stand in a pickle; any other (os.system) and
 * every opcode that plain data does not need is an error that says what and at which
 * byte.
 */
#ifndef RETORT_PICKLE_H
#define RETORT_PICKLE_H

#include "retort/mem.h"

enum pickle_kind {
    PICKLE_NONE,
    PICKLE_BOOL,
    PICKLE_INT,
    PICKLE_BIG, /* a whole number beyond 64 bits: `text`, little-endian */
    PICKLE_REAL,
    PICKLE_TEXT,
    PICKLE_BYTES,
    PICKLE_TUPLE,
    PICKLE_LIST,
    PICKLE_DICT, /* item: key, value, key, value ... */
    PICKLE_NAME, /* text: "collections.OrderedDict" */
    PICKLE_CALL, /* item[0] of the arguments item[1] (a tuple), then as in a dict */
    PICKLE_HELD, /* item[0]: what stands for it outside of the pickle (persistent id) */
};
extern const char *const pickle_kind_names[]; /* "a number", "a list" ... */

struct pickle {
    enum pickle_kind kind;
    int64_t at;      /* byte that made it */
    int64_t integer; /* of BOOL and INT */
    double real;
    const char *text; /* NUL-terminated; `len` without the NUL */
    int64_t len;
    struct pickle **item;
    int64_t n, capacity;
};

/*
 * Reads one pickle that begins `data`; *used (may be NULL) is where it ends. `name` is
 * what messages call it; `names` are those that may stand in it, NULL-terminated. `held`
 * (may be NULL) receives a list of all PICKLE_HELD. Everything lives in `arena`.
 */
const struct pickle *pickle_read(const unsigned char *data, int64_t len, int64_t *used,
                                 const char *name, const char *const *names,
                                 struct pickle **held, struct arena *arena,
                                 struct err *err);

/* A dictionary, or an OrderedDict that was called for: its count of pairs, else -1. The
 * pairs begin at item[*first]. */
int64_t pickle_pairs(const struct pickle *p, int64_t *first);
/* Is it a call of this name with at least `args` arguments? Then its tuple of them. */
const struct pickle *pickle_call(const struct pickle *p, const char *name, int64_t args);

#endif
