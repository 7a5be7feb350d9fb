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

#endif
