/* A run while it is written: what writer.c, parts.c and sealing.c share. */
#ifndef RETORT_STORE_WRITER_H
#define RETORT_STORE_WRITER_H

#include "internal.h"

struct run_writer {
    pthread_mutex_t lock; /* the heartbeat may come from another thread */
    struct store *store;
    char id[65], env_class[65], record[65];
    char *dir, *ckpt;
    struct lease *lease;
    struct journal *journal;
    struct content *index; /* paths and steps, without data: to check what comes */
    int64_t generation, checkpoints;
    struct strbuf notes;
    bool sealed;
};

/* parts.c: writes a snapshot's file, and fills in `part`, whose step is set. */
int part_write(struct run_writer *w, const struct recorded *list, int64_t n,
               struct part *part, struct err *err);
/* Those of steps that were gone back over, or of a poorer record. */
int parts_remove_unlisted(struct run_writer *w, const struct content *c, struct err *err);

#endif
