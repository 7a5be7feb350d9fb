/*
 * Plug-ins: methods outside of the tree. What is loaded is the file whose digest becomes
 * part of the ids of its jobs; workers load it again, by RETORT_PLUGIN, and a plan made
 * of another file is not the launcher's plan.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "retort/file.h"
#include "retort/hash.h"
#include "retort/method.h"
#include "verbs.h"

#define VARIABLE "RETORT_PLUGIN"

static bool is_loaded(const char *digest)
{
    for (const struct method *const *m = method_list(); *m; m++)
        if (method_plugin(*m) && !strcmp(method_plugin(*m), digest))
            return true;
    return false;
}

/* What a table of options may hold, before anything reads it. */
static int check_method(const struct method *m, const char *path, struct err *err)
{
    const char *slash = m->name ? strchr(m->name, '/') : NULL;

    if (!slash || slash == m->name || !slash[1])
        return err_set(err, ERR_INPUT,
                       "%s: a method is named family/name, not \"%.100s\"", path,
                       m->name ? m->name : "");
    if (!m->summary || !m->options || !m->inputs || !m->run || m->version < 1)
        return err_set(err, ERR_INPUT,
                       "%s: %s lacks one of summary, options, inputs, run, version (1 or "
                       "more)",
                       path, m->name);
    return 0;
}

static int add_methods(void *so, const char *path, const char *digest, struct err *err)
{
    const struct retort_plugin *p = dlsym(so, "retort_plugin");

    if (!p)
        return err_set(err, ERR_INPUT,
                       "%s: is no plug-in of Retort; it ends with RETORT_PLUGIN(&method)",
                       path);
    if (p->abi != RETORT_PLUGIN_ABI || p->method_size != sizeof(struct method) ||
        p->stage_size != sizeof(struct stage))
        return err_set(err, ERR_INPUT,
                       "%s: was built against the headers of another version; build it "
                       "again",
                       path);
    for (const struct method *const *m = p->methods; *m; m++)
        if (check_method(*m, path, err) || method_add(*m, digest, err))
            return err_prefix(err, "%s", path);
    return 0;
}

static int load_one(const char *path, struct err *err)
{
    char digest[SHA256_HEX];
    void *so;

    if (sha256_file(digest, path, err))
        return -1;
    if (is_loaded(digest))
        return 0;
    /* Never closed: jobs and tables point into it. */
    so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!so)
        return err_set(err, ERR_INPUT, "%s: cannot be loaded: %s", path, dlerror());
    return add_methods(so, path, digest, err);
}

/* dlopen looks for a name without a slash elsewhere, and workers may stand elsewhere. */
static char *whole_path(const char *path, struct err *err)
{
    char *whole = realpath(path, NULL);

    if (!whole)
        err_errno(err, "plug-in %s", path);
    else if (strchr(whole, ':')) {
        err_set(err, ERR_INPUT, "plug-in %s: its path has a colon", whole);
        free(whole);
        whole = NULL;
    }
    return whole;
}

int plugins_load_given(struct err *err)
{
    const char *at = getenv(VARIABLE);

    while (at && *at) {
        size_t n = strcspn(at, ":");
        char *path = n ? mem_strndup(at, n, err) : NULL;
        int rc = n && (!path || load_one(path, err));
        free(path);
        if (rc)
            return -1;
        at += n + (at[n] == ':');
    }
    return 0;
}

int plugins_load(const struct string_list *files, struct err *err)
{
    for (int64_t i = 0; i < files->n; i++) {
        const char *before = getenv(VARIABLE);
        char *path = whole_path(files->v[i], err), *all = NULL;
        int rc = path && !load_one(path, err) ? 0 : -1;
        if (!rc && !(all = mem_printf(err, "%s%s%s", before ? before : "",
                                      before && *before ? ":" : "", path)))
            rc = -1;
        if (!rc && setenv(VARIABLE, all, 1))
            rc = err_errno(err, VARIABLE);
        free(all);
        free(path);
        if (rc)
            return -1;
    }
    return 0;
}
