/*
 * retort doctor: what this machine has of what Retort can use.
 *
 * Each line is "ok", "warning" with what to do, or "missing": without that something that
 * everybody needs does not work, and the exit code is 1.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "query.h"
#include "retort/file.h"
#include "retort/json.h"
#include "retort/pins.h"
#include "retort/pool.h"
#include "retort/spec.h"
#include "retort/tensor.h"
#include "verbs.h"

enum level { OK, WARNING, MISSING };
static const char *const level_words[] = {"ok", "warning", "missing"};

struct finding {
    enum level level;
    const char *what;
    char text[512], todo[512];
};

struct report {
    const struct common *common;
    struct finding *v;
    int64_t n, capacity;
    struct err err;
};

static void find(struct report *r, enum level level, const char *what, const char *todo,
                 const char *fmt, ...) __attribute__((format(printf, 5, 6)));
static void find(struct report *r, enum level level, const char *what, const char *todo,
                 const char *fmt, ...)
{
    struct finding *f;
    va_list ap;

    if (mem_grow((void **)&r->v, r->n, &r->capacity, sizeof *r->v, &r->err))
        return;
    f = &r->v[r->n++];
    f->level = level;
    f->what = what;
    snprintf(f->todo, sizeof f->todo, "%s", todo && level != OK ? todo : "");
    va_start(ap, fmt);
    vsnprintf(f->text, sizeof f->text, fmt, ap);
    va_end(ap);
}

/* ---- what is looked at --------------------------------------------------------------
 */

static void look_at_program(struct report *r)
{
    struct build_info b = build_info();

    find(r, OK, "program", NULL, "retort %s, commit %.12s%s, %s", b.version, b.commit,
         b.dirty ? " with changes" : "", b.compiler);
}

static void look_at_processor(struct report *r)
{
    const char *level = kernels_level(), *asked = getenv("RETORT_KERNELS");
    bool slow = !strcmp(level, "ref") || !strcmp(level, "v2");

    find(r, slow && !(asked && *asked) ? WARNING : OK, "processor",
         "x86-64-v3 (AVX2) or better is several times faster",
         "%d core%s, kernels for %s%s%s", pool_cores(), pool_cores() == 1 ? "" : "s",
         strcmp(level, "ref") ? "x86-64-" : "", level,
         asked && *asked ? " (RETORT_KERNELS)" : "");
}

static void look_at_libraries(struct report *r)
{
    struct strbuf all = STRBUF_INIT;
    char buf[64], todo[160];

    for (const char *const *l = library_names(); *l; l++) {
        const char *version = library_version(*l, buf);
        if (*version) {
            strbuf_printf(&all, "%s%s %s", all.len ? ", " : "", *l, version);
        } else {
            snprintf(todo, sizeof todo, "install it, build Retort again");
            find(r, MISSING, "libraries", todo, "%s is not loaded", *l);
        }
    }
    find(r, OK, "libraries", NULL, "%s", strbuf_text(&all));
    strbuf_release(&all);
}

/* Is a program of this name in PATH? */
static bool on_path(const char *name)
{
    const char *path = getenv("PATH");

    while (path && *path) {
        size_t n = strcspn(path, ":");
        char *dir = mem_strndup(path, n, NULL), *file = NULL;
        bool yes = dir && (file = path_join(dir, name, NULL)) && access(file, X_OK) == 0;
        free(file);
        free(dir);
        if (yes)
            return true;
        path += n + (path[n] == ':');
    }
    return false;
}

static void look_at_programs(struct report *r)
{
    bool font = file_exists("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf");

    if (!on_path("gnuplot"))
        find(r, WARNING, "gnuplot",
             "apt-get install gnuplot-nox; until then `retort plot` "
             "leaves the script and its data",
             "not found");
    else
        find(r, font ? OK : WARNING, "gnuplot",
             "apt-get install fonts-dejavu-core, or letters may be missing in plots",
             "found%s", font ? "" : ", but not the DejaVu font");
    find(r, on_path("git") ? OK : WARNING, "git",
         "apt-get install git, if you keep your experiments in a repository (runs are "
         "pinned "
         "without it)",
         "%s", on_path("git") ? "found" : "not found");
}

/* The nearest folder above (or at) `path` that is there. Heap memory. */
static char *existing(const char *path, struct err *err)
{
    char *at = mem_strdup(path, err);

    while (at && !file_is_dir(at) && strcmp(at, ".") != 0 && strcmp(at, "/") != 0) {
        char *up = path_dir(at, err);
        free(at);
        at = up;
    }
    return at;
}

static void look_at_disk(struct report *r, const char *dir)
{
    struct statvfs fs;
    char size[32];
    int64_t bytes;

    if (statvfs(dir, &fs)) {
        find(r, WARNING, "disk", "look at the file system", "%s: %s", dir,
             strerror(errno));
        return;
    }
    bytes = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
    bytes_text(size, bytes);
    find(r, bytes < 1000000000 ? WARNING : OK, "disk",
         "a sweep over a real model wants some GB: make room, or choose another --store",
         "%s free below %s", size, dir);
}

/* Asking for permissions is not enough: /proc, a full or a read-only file system. */
static bool can_write(const char *dir)
{
    char *path = path_join(dir, ".retort-doctor-XXXXXX", NULL);
    int fd = path ? mkstemp(path) : -1;
    bool yes = fd >= 0 && write(fd, "x", 1) == 1 && fsync(fd) == 0;

    int why = errno;

    if (fd >= 0) {
        close(fd);
        unlink(path);
    }
    free(path);
    errno = why;
    return yes;
}

static void look_at_store(struct report *r)
{
    const char *store = r->common->store;
    struct store *s = NULL;
    struct run_info *list = NULL;
    int64_t n = 0, damaged = 0;
    struct err err = ERR_INIT;
    char *dir = existing(store, &r->err);

    if (!dir)
        return;
    if (!can_write(dir)) {
        find(r, MISSING, "store", "choose another folder by --store or RETORT_STORE",
             "%s: nothing can be written to %s: %s", store, dir, strerror(errno));
    } else if (!file_is_dir(store)) {
        find(r, OK, "store", NULL, "%s is not there yet; the first run makes it", store);
    } else if (store_open(&s, store, false, &err) || store_list(s, &list, &n, &err)) {
        find(r, MISSING, "store", "choose another folder by --store or RETORT_STORE",
             "%s", err.text);
    } else {
        for (int64_t i = 0; i < n; i++)
            damaged += list[i].state == RUN_DAMAGED;
        find(r, damaged ? WARNING : OK, "store",
             "retort ls state=damaged names them; remove them and run their spec again",
             "%s: %lld runs, %lld damaged", store, (long long)n, (long long)damaged);
    }
    free(list);
    store_close(s);
    look_at_disk(r, dir);
    free(dir);
}

static void look_at_data(struct report *r)
{
    struct strbuf found = STRBUF_INIT, absent = STRBUF_INIT;
    const char *dir = task_data_dir();
    char todo[512];

    for (const struct task *const *t = task_list(); *t; t++) {
        struct err err = ERR_INIT;
        struct strbuf *to;
        char *at = NULL;
        if (!(*t)->files)
            continue;
        to = task_find_dir(&at, *t, dir, &err) ? &absent : &found;
        strbuf_printf(to, "%s%s", to->len ? ", " : "", (*t)->name);
        free(at);
    }
    if (found.len)
        find(r, OK, "data", NULL, "%s: %s", dir, strbuf_text(&found));
    if (absent.len) {
        snprintf(
            todo, sizeof todo,
            "put the official folders (MRPC/train.tsv ...) below it, or set RETORT_DATA; "
            "generated tasks (synth/...) need none");
        find(r, WARNING, "data", todo, "not in %s: %s", dir, strbuf_text(&absent));
    }
    strbuf_release(&absent);
    strbuf_release(&found);
}

static bool is_model(const char *dir)
{
    char *config = path_join(dir, "config.json", NULL);
    bool yes = config && file_exists(config);

    free(config);
    return yes;
}

/* Specs name checkpoints by path; ./models is where the experiments of the house look. */
static void look_at_models(struct report *r)
{
    struct strbuf found = STRBUF_INIT;
    struct err err = ERR_INIT;
    char **names = NULL;

    if (file_is_dir("models") && !file_list(&names, "models", &err))
        for (char **n = names; *n; n++) {
            char *dir = path_join("models", *n, &r->err);
            if (dir && is_model(dir))
                strbuf_printf(&found, "%s%s", found.len ? ", " : "", *n);
            free(dir);
        }
    if (names)
        file_list_free(names);
    if (found.len)
        find(r, OK, "models", NULL, "models: %s", strbuf_text(&found));
    else
        find(r, WARNING, "models",
             "put Hugging Face folders (config.json, model.safetensors, vocab.txt) "
             "there, or name "
             "others in the spec; the quickstart needs none",
             "none in ./models");
    strbuf_release(&found);
}

static void look_at_locale(struct report *r)
{
    const char *names[] = {"LC_ALL", "LC_CTYPE", "LANG"}, *value = NULL;
    bool utf8;

    for (int i = 0; i < 3 && !(value && *value); i++)
        value = getenv(names[i]);
    value = value && *value ? value : "C";
    utf8 = strstr(value, "UTF-8") || strstr(value, "utf8") || strstr(value, "utf-8");
    find(r, utf8 ? OK : WARNING, "locale",
         "set LANG=C.UTF-8, or tables may show \"±\" as two letters; numbers and files "
         "are the "
         "same in any locale",
         "%s", value);
}

/* ---- as text and JSON ---------------------------------------------------------------
 */

static void put_text(struct strbuf *out, const struct report *r)
{
    static const char *const color[] = {"\033[32m", "\033[33m", "\033[31m"};
    bool paint = screen_color(1);

    for (int64_t i = 0; i < r->n; i++) {
        const struct finding *f = &r->v[i];
        strbuf_printf(out, "%s%-8s%s %-10s ", paint ? color[f->level] : "",
                      level_words[f->level], paint ? "\033[0m" : "", f->what);
        help_wrap(out, f->text, 20, 20, screen_width() ? screen_width() : 100);
        if (f->todo[0]) {
            strbuf_printf(out, "%20s", "");
            help_wrap(out, f->todo, 20, 20, screen_width() ? screen_width() : 100);
        }
    }
}

static void put_json(struct strbuf *out, const struct report *r)
{
    struct json_writer w;

    json_begin(&w, out, true);
    json_array(&w);
    for (int64_t i = 0; i < r->n; i++) {
        json_object(&w);
        json_member(&w, "what");
        json_str(&w, r->v[i].what);
        json_member(&w, "state");
        json_str(&w, level_words[r->v[i].level]);
        json_member(&w, "found");
        json_str(&w, r->v[i].text);
        json_member(&w, "todo");
        json_str(&w, r->v[i].todo[0] ? r->v[i].todo : NULL);
        json_object_end(&w);
    }
    json_array_end(&w);
    strbuf_putc(out, '\n');
}

static int run(const void *given)
{
    struct report r = {.common = given};
    struct strbuf out = STRBUF_INIT;
    bool missing = false;
    int rc;

    look_at_program(&r);
    look_at_processor(&r);
    look_at_libraries(&r);
    look_at_programs(&r);
    look_at_store(&r);
    look_at_data(&r);
    look_at_models(&r);
    look_at_locale(&r);
    for (int64_t i = 0; i < r.n; i++)
        missing = missing || r.v[i].level == MISSING;
    if (r.common->json)
        put_json(&out, &r);
    else
        put_text(&out, &r);
    rc = err_is_set(&r.err) ? tell_error(&r.err) : print_text(&out);
    free(r.v);
    return rc ? rc : missing;
}

const struct verb verb_doctor = {
    .name = "doctor",
    .group = "Retort itself",
    .summary = "what this machine has of what Retort can use",
    .common = COMMON_STORE | COMMON_JSON,
    .about = "Each line is ok, a warning with what to do about it, or missing: then the "
             "exit code is 1.",
    .run = run,
};
