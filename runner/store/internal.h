/*
 * What the files of the store share. See include/retort/store.h for what it all means.
 *
 * A run, whether read from journals or from run.h5, is a `struct content`: heads, items,
 * series, in the order of their recording. The writer keeps one too, without data, to
 * check what it is given.
 */
#ifndef RETORT_STORE_INTERNAL_H
#define RETORT_STORE_INTERNAL_H

#include <pthread.h>

#include "retort/file.h"
#include "retort/hash.h"
#include "retort/mem.h"
#include "retort/store.h"
#include "retort/strbuf.h"

/* ---- what a run holds ---- */

enum item_kind { ITEM_ARRAY, ITEM_TEXT, ITEM_REFERENCE };

struct item {
    struct run_item
        pub; /* path, class, dtype, shape, origin; strings belong to the item */
    enum item_kind kind;
    char *dim[RANK_MAX];
    const void *data; /* of an array; NULL in the writer's index */
    void *owned;      /* heap memory behind data, or NULL: it is mapped */
    char **texts;     /* texts_n strings (1 for a scalar) */
    int64_t texts_n;  /* -1: a scalar */
};

struct points {
    char *name;
    enum record_class cls;
    int64_t n, capacity, value_capacity;
    int64_t *step;
    double *value;
};

/* One snapshot: the file parts/<name> beside run.h5, whose root is /steps/<step>. */
struct part {
    int64_t step, bytes;
    char
        name[64]; /* 0000000100-<16 digits of the sha256>.h5: equal content, equal name */
    char sha256[65];
};

/* ---- names.c ---- */

struct map; /* from text to a number */
struct map *map_new(struct err *err);
void map_free(struct map *map);
/* The number, or -1. */
int64_t map_get(const struct map *map, const char *key);
int map_put(struct map *map, const char *key, int64_t value, struct err *err);

/* ---- content.c, parts.c, digest.c ---- */

enum { HEAD_SPEC, HEAD_RESOLVED, HEAD_PINS, HEAD_RECORD, HEAD_COUNT };
extern const char *const head_names[HEAD_COUNT];

struct content {
    struct run_info info;    /* as far as it stands in the run itself */
    char *heads[HEAD_COUNT]; /* NULL: absent */
    int64_t generations;
    char extra_digest[65];
    struct item *items;
    int64_t items_n, items_capacity;
    struct points *series;
    int64_t series_n, series_capacity;
    struct part *parts; /* by step */
    int64_t parts_n, parts_capacity;
    bool is_part;      /* a snapshot's file: /weights/... alone, of info.step */
    struct map *paths; /* of items: their number; of groups on the way: GROUP_MARK */
    struct map *names; /* of series */
};

struct content *content_new(struct err *err);
void content_free(struct content *c);
/* Forgets items and series, keeps heads and info. */
int content_reset(struct content *c, struct err *err);

/* Each checks path or name; a later item at the same path replaces the earlier. `it` is
 * taken over (its strings too), also on failure. */
int content_item(struct content *c, struct item *it, struct err *err);
int content_point(struct content *c, enum record_class cls, const char *name,
                  int64_t step, double value, struct err *err);
/* A whole series at once; *step and *value are taken over. */
int content_series(struct content *c, enum record_class cls, const char *name, int64_t n,
                   int64_t *step, double *value, struct err *err);
/* Steps rise. */
int content_part(struct content *c, const struct part *part, struct err *err);
int64_t content_part_bytes(const struct content *c);
/* All parts lie in the run's folder, with the right sizes. */
int check_parts(const char *dir, const struct content *c, struct err *err);
/* The list of parts as the datasets /parts/{step,file,bytes,sha256}, and back from them.
 */
int content_write_parts(struct content *c, struct err *err);
int content_read_parts(struct content *c, struct err *err);
/* Checks without adding. */
int content_check_path(const struct content *c, const char *path, struct err *err);
int content_check_point(const struct content *c, enum record_class cls, const char *name,
                        int64_t step, struct err *err);
struct item *content_find(const struct content *c, const char *path);
void item_clear(struct item *it);

/* SHA-256 over what has this class, sorted by path: independent of order, generation,
 * times. */
int content_digest(const struct content *c, enum record_class cls, char out[65],
                   struct err *err);

const char *class_name(enum record_class cls);
int class_parse(enum record_class *out, const char *name);
const char *item_dtype_name(enum dtype t);
/* Bytes of an array; hostile shapes fail. */
int item_bytes(int64_t *out, struct shape s, enum dtype t, struct err *err);

/* Copies a text into a fixed field, cut at a whole UTF-8 character. */
void field_set(char *field, size_t size, const char *text);

/* ---- layout.c ---- */

/* Writes all at once; the file is sealed, closed and synced. Equal content gives equal
 * bytes. */
int content_save(const char *path, const struct content *c, struct err *err);
/* The same in a group /runs/<id> of an open file, as runs_bundle leaves it out. */
struct h5_out;
void content_add(struct h5_out *out, const struct content *c);
/* Reads all but the arrays, which point into `map` (or are owned). `part`: a snapshot is
 * meant, no run. The file is closed again. */
int content_load(struct content **out, struct file_map *map, const char *path, bool part,
                 struct err *err);

/* A whole run of a format that this program does not know yet. */
bool content_is_newer(const char *path);

/* ---- seal.c ---- */

#define SEAL_BYTES 32
#define SEAL_CRC 24 /* where its checksum lies: behind mark and length */

void seal_make(unsigned char seal[SEAL_BYTES], const unsigned char *data, int64_t len);
int seal_put(const char *path, struct err *err); /* appends it, and syncs */
int seal_check(const struct file_map *map, const char *path, struct err *err);

/* ---- journal.c, replay.c ---- */

struct journal; /* open for appending */

int journal_create(struct journal **out, const char *dir, int64_t generation,
                   struct err *err);
/* The journal of a dead process, to say more at its end; what is torn is cut off. */
int journal_reopen(struct journal **out, const char *dir, int64_t generation,
                   struct err *err);
void journal_close(struct journal *j);
int64_t journal_position(const struct journal *j);
int journal_sync(struct journal *j, struct err *err);

int journal_begin(struct journal *j, const struct run_head *head, double started,
                  struct err *err);
int journal_metric(struct journal *j, enum record_class c, const char *name, int64_t step,
                   double value, struct err *err);
int journal_array(struct journal *j, enum record_class c, const char *path,
                  const struct array *a, struct err *err);
int journal_text(struct journal *j, enum record_class c, const char *path,
                 const char *const *texts, int64_t n, struct err *err);
int journal_reference(struct journal *j, const char *path, const char *origin,
                      struct err *err);
int journal_part(struct journal *j, const struct part *part, struct err *err);
/* What counts so far is the content of `generation` up to `position`; all before in this
 * journal is void. */
int journal_resume(struct journal *j, int64_t generation, int64_t position, int64_t step,
                   struct err *err);
int journal_checkpoint(struct journal *j, int64_t step, struct err *err);
int journal_end(struct journal *j, const char *why, double ended, struct err *err);

/* Maps of the journals that a content points into. */
struct journal_maps {
    struct file_map *map;
    int64_t n, capacity;
};
void journal_maps_release(struct journal_maps *maps);

/* Replays generation `g` (up to `position`, or -1: all that is whole) with what it
 * resumed from. */
int journal_read(struct content **out, struct journal_maps *maps, const char *dir,
                 int64_t g, int64_t position, struct err *err);
/* Size of the record at a byte, 0 if it is not as it was written: a reader does without
 * some bytes that this looks at. */
int64_t journal_record(const struct file_map *map, int64_t at);
/* Bytes of whole records from the beginning. */
int64_t journal_whole(const struct file_map *map);
/* The newest generation there is, 0 if none. */
int journal_newest(int64_t *out, const char *dir, struct err *err);
/* Seconds of work over all journals in the folder. */
double journal_seconds(const char *dir);
char *journal_path(const char *dir, int64_t generation, struct err *err);

/* ---- checkpoint.c ---- */

struct checkpoint_head {
    int64_t generation, position, step;
    char env_class[65];
    char record[65]; /* SHA-256 of the record options */
};

int checkpoint_write(const char *dir, int64_t sequence,
                     const struct checkpoint_head *head, const struct region *r,
                     int64_t n, struct err *err);
/* Files, oldest first, NULL-terminated; free with file_list_free. */
int checkpoint_list(char ***out, const char *dir, struct err *err);
/* Head only; the file must be whole enough for it. */
int checkpoint_peek(struct checkpoint_head *head, const char *dir, const char *name,
                    struct err *err);
/* Checks all checksums, names and sizes; then fills the regions. Nothing is filled on
 * failure. */
int checkpoint_read(struct checkpoint_head *head, const char *dir, const char *name,
                    const struct region *r, int64_t n, struct err *err);
#define CHECKPOINT_MAGIC "RTCKPT1\n"
#define CHECKPOINT_FIXED 24 /* magic, length, CRC, 4 bytes of zero */
/* Every byte of the file, whatever stage it is of. */
int checkpoint_check(const char *path, struct err *err);
/* Size and checksum of a region, by a head that is whole; false if there is none. */
bool checkpoint_region(const struct file_map *map, int64_t i, int64_t *bytes,
                       uint32_t *crc);
/* Moves a file out of the way: "aside-<name>". */
int checkpoint_aside(const char *dir, const char *name, struct err *err);
/* Removes all but the newest `keep`. */
int checkpoint_prune(const char *dir, int keep, struct err *err);

/* ---- lease.c ---- */

#define LEASE_SECONDS 60 /* without a heartbeat, a holder on another host is dead */

struct lease;

int lease_take(struct lease **out, const char *dir,
               struct err *err);                  /* ERR_LOCKED: who */
int lease_beat(struct lease *l, struct err *err); /* ERR_LOCKED if it was lost */
void lease_give(struct lease *l);                 /* removes it if it is still ours */
/* One of many in a folder, each of its own name: it says that its process is there. Those
 * of the dead are cleared away. */
int lease_mark(struct lease **out, const char *dir, struct err *err);
/* Is any in the folder somebody's who is alive? */
bool lease_any(const char *dir, char *who, size_t size);
/* 1 if somebody alive holds it (who in `who`), else 0. */
int lease_alive(const char *dir, char *who, size_t size);
/* Is there one, or a file to become one, of a process that is gone? */
bool lease_is_dead(const char *path);
/* Is it as it was written, whoever holds it? */
bool lease_is_whole(const char *path);

/* ---- lines.c ---- */

/* A field behind what is there; control characters and '%' are escaped. */
void line_field(struct strbuf *sb, const char *text);
void line_number(struct strbuf *sb, double x);
/* Appends the fields as one line. `last`: there is no other copy, so it must outlast a
 * loss of power. */
int line_append(const char *path, struct strbuf *fields, bool last, struct err *err);
/* The next line before `end`, cut in place, a NUL for its newline; NULL at the end: a
 * last one without newline is torn. */
char *line_next(char **at, char *end);
bool line_is_whole(const char *line);
/* Cuts a line into fields in place; their number, or 0 if it is not whole. */
int line_split(char *line, char **field, int max);

/* ---- catalog.c ---- */

struct catalog;

struct catalog *catalog_new(const char *dir, struct err *err);
void catalog_free(struct catalog *c);
/* Entry of a run whose run.h5 has this size and time; false if it must be read. */
bool catalog_find(struct catalog *c, const char *id, int64_t size, int64_t mtime_ns,
                  struct run_info *out);
/* Ids of the runs it refers to, each followed by a comma; NULL if it is not known. */
char *catalog_origins(struct catalog *c, const char *id, struct err *err);
/* Appends; a store that cannot be written to is no failure. */
void catalog_add(struct catalog *c, const struct content *content, int64_t size,
                 int64_t mtime_ns);
int catalog_reset(struct catalog *c, struct err *err); /* an empty one */

int labels_add(const char *dir, char kind, const char *id, const char *text,
               struct err *err);
/* Calls `fn` for each whole line in order. */
int labels_read(const char *dir,
                void (*fn)(void *ctx, char kind, const char *id, const char *text),
                void *ctx, struct err *err);

/* ---- store.c ---- */

struct store {
    char *dir;
    struct catalog *catalog;
};

bool id_is_valid(const char *id);
/* Calls fn for each folder that is named like a run; stops at -1. */
int store_each_id(struct store *store,
                  int (*fn)(void *ctx, const char *id, struct err *err), void *ctx,
                  struct err *err);
char *store_run_dir(const struct store *store, const char *id, struct err *err);
/* Seconds since 1970; SOURCE_DATE_EPOCH if that is set, so that runs can be made again
 * byte for byte. */
double store_now(void);
int64_t file_mtime_ns(const char *path); /* -1 if it is not there */

#endif
