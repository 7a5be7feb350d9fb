/*
 * Pins: everything outside the spec that decides a result, as it was when a run began.
 *
 * libgit2 is seen by runner/pins/git.c alone. An odd repository (none, another owner, an
 * unknown extension, damaged) is a warning inside the pins and never a failure of the
 * run.
 */
#ifndef RETORT_PINS_H
#define RETORT_PINS_H

#include "retort/hash.h"
#include "retort/strbuf.h"

struct pins_options {
    const char *spec_dir;  /* folder of the spec: its repository is /git/work */
    const char *store_dir; /* <store>/objects.git receives the changes; NULL: not kept */
    const char *kernels;   /* kernels_level() */
    int threads;
};

/*
 * Appends the JSON object of /pins:
 *
 *     {"git": {"build": {"commit", "dirty"},
 *              "work": {"path", "commit", "branch", "dirty", "changed", "untracked",
 * "tree", "skipped": [...]}, "warnings": [...]}, "build": {"version", "compiler",
 * "flags"}, "libraries": {"hdf5": "1.10.8", ...}, "host": {"name", "kernel", "cpu",
 * "features": [...], "cores", "threads", "kernels"}}
 *
 * "tree" is a git tree in <store>/objects.git with all changed and untracked files as
 * they are on disk; what is too large (8 MiB a file, 64 MiB and 4,000 files in all) or
 * named like a secret (.env, *.pem, id_rsa ...) is listed in "skipped" with the reason.
 * Fails only for lack of memory.
 */
int pins_collect(struct strbuf *json, const struct pins_options *opt, struct err *err);

/* "revision" and --require-clean: ERR_NEGATIVE if the repository of `dir` is not at the
 * commit (7 digits of it or more, a tag or a branch) or has changes other than in
 * `store_dir` (may be NULL); ERR_IO if it cannot be told. revision NULL: any. */
int pins_require(const char *dir, const char *store_dir, const char *revision, bool clean,
                 struct err *err);

/* SHA-256 of kernel level, compiler and the numeric libraries' versions: what the bits
 * may depend on besides the job's id. */
int env_class(char out[SHA256_HEX], struct err *err);

/* What the binary knows of its making (runner/pins/build.c). */
struct build_info {
    const char *version, *commit, *compiler, *flags;
    bool dirty;
};
struct build_info build_info(void);

/* Version of a library by its short name ("hdf5", "onednn", "libgit2", ...) as loaded; ""
 * if it is not. */
const char *library_version(const char *name, char buf[64]);
/* NULL-terminated names that library_version knows. */
const char *const *library_names(void);

/* The parts, each one JSON value. */
int git_collect(struct strbuf *json, const char *spec_dir, const char *store_dir,
                struct err *err);
int host_collect(struct strbuf *json, const char *kernels, int threads, struct err *err);
/* What git would call a file with these bytes: the digest of small files on the Hugging
 * Face hub. */
#define GIT_DIGEST_HEX 41
int git_blob_digest(char out[GIT_DIGEST_HEX], const char *path, struct err *err);
/* Files whose names look like secrets are never copied into a store. */
bool pins_denied(const char *path);

#endif
