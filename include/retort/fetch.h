/*
 * Models by name: "hf:org/name[@revision]", from the user's Hugging Face cache, else
 * downloaded into it, in its own layout:
 *
 *     models--org--name/refs/main             the commit's hash
 *     models--org--name/blobs/DIGEST          sha256, or git's sha1 of a small file
 *     models--org--name/snapshots/COMMIT/f    a link to its blob
 *
 * so what huggingface_hub wrote is used here, and the other way round. The cache is
 * HF_HUB_CACHE, else HF_HOME/hub, else XDG_CACHE_HOME/huggingface/hub, else
 * ~/.cache/huggingface/hub. HF_ENDPOINT, HF_TOKEN (or the file HF_HOME/token),
 * HF_HUB_OFFLINE and HF_HUB_DOWNLOAD_TIMEOUT mean what they mean there.
 *
 * A file is written beside its place, resumed where a download broke off, checked against
 * its digest and renamed; one process downloads while others wait (a lock of the kernel:
 * it ends with its holder).
 */
#ifndef RETORT_FETCH_H
#define RETORT_FETCH_H

#include "retort/mem.h"

struct hub_options {
    bool download; /* false: what is not in the cache is ERR_MISSING, with its size */
    bool progress; /* a bar on stderr, if that is a terminal */
};

/* Does the text name a model in this way? */
bool hub_is_name(const char *text);

/* The folder of the model's snapshot, with its configuration, tokenizer and weights in
 * it. Free *dir. */
int hub_find(char **dir, const char *name, const struct hub_options *opt,
             struct err *err);

/*
 * Data by the names of their tasks: the original archives, fetched as models are, checked
 * against published digests, unpacked aside without ever writing elsewhere, counted, and
 * only then put in their place below the data folder.
 */
struct data_file {
    const char *url;
    const char *sha256; /* as published; NULL: the first download's is kept and held to */
    int64_t size;       /* of the download; -1: not known */
    const char *to;     /* path below the data folder; ends with "/": an archive, unpacked
                           there */
};
struct data_count {
    const char *task, *split;
    int64_t n; /* examples, as published */
};
#define DATA_FILES 4
#define DATA_COUNTS 6
#define DATA_PLACES 3
struct data_source {
    const char *name; /* "glue/cola" */
    const char *what; /* for people: size, licence */
    struct data_file file[DATA_FILES];
    struct data_count count[DATA_COUNTS];
    const char *place[DATA_PLACES]; /* what comes to stand below the data folder */
    int64_t unpacked;               /* bytes that an archive may have, unpacked */
    /* Makes of what was fetched what tasks read; NULL: nothing is to be made. */
    int (*build)(const char *dir, struct err *err);
};

/* A list of all, ended by one without a name. */
const struct data_source *data_sources(void);

/* By its places; not counted. */
bool data_is_there(const struct data_source *source, const char *data_dir);
/* 0: it stands there now; 1: it did before, and has the right number of examples.
 * RETORT_MIRROR goes before the URLs' hosts: MIRROR/host/path. */
int data_get(const struct data_source *source, const char *data_dir, bool progress,
             struct err *err);

#endif
