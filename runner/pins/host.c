/*
 * The machine, the libraries as loaded, and the class of environments that give equal
 * bits.
 *
 * Versions are asked of the loaded libraries by name (dlsym), so that no header of theirs
 * is included here and the answer is about what runs, not about what was there at the
 * build.
 */
#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "retort/mem.h"
#include "retort/json.h"
#include "retort/pins.h"
#include "retort/pool.h"

static const char *const names[] = {"hdf5",     "libgit2",   "cjson", "onednn",
                                    "utf8proc", "libcrypto", "libc",  NULL};

const char *const *library_names(void)
{
    return names;
}

/* A function of a loaded library; POSIX allows the conversion that ISO C does not. */
static bool find(void *function, size_t size, const char *symbol)
{
    void *p = dlsym(RTLD_DEFAULT, symbol);
    if (p)
        memcpy(function, &p, size);
    return p != NULL;
}

static void text_version(char buf[64], const char *symbol)
{
    const char *(*f)(void);
    if (find(&f, sizeof(f), symbol))
        snprintf(buf, 64, "%s", f());
}

const char *library_version(const char *name, char buf[64])
{
    buf[0] = '\0';
    if (strcmp(name, "hdf5") == 0) {
        int (*f)(unsigned *, unsigned *, unsigned *);
        unsigned a = 0, b = 0, c = 0;
        if (find(&f, sizeof(f), "H5get_libversion") && f(&a, &b, &c) >= 0)
            snprintf(buf, 64, "%u.%u.%u", a, b, c);
    } else if (strcmp(name, "libgit2") == 0) {
        int (*f)(int *, int *, int *);
        int a = 0, b = 0, c = 0;
        if (find(&f, sizeof(f), "git_libgit2_version") && f(&a, &b, &c) >= 0)
            snprintf(buf, 64, "%d.%d.%d", a, b, c);
    } else if (strcmp(name, "onednn") == 0) {
        const int *(*f)(void); /* its struct begins with major, minor, patch */
        if (find(&f, sizeof(f), "dnnl_version"))
            snprintf(buf, 64, "%d.%d.%d", f()[0], f()[1], f()[2]);
    } else if (strcmp(name, "libcrypto") == 0) {
        const char *(*f)(int);
        if (find(&f, sizeof(f), "OpenSSL_version"))
            snprintf(buf, 64, "%s", f(0));
    } else if (strcmp(name, "cjson") == 0) {
        text_version(buf, "cJSON_Version");
    } else if (strcmp(name, "utf8proc") == 0) {
        text_version(buf, "utf8proc_version");
    } else if (strcmp(name, "libc") == 0) {
        snprintf(buf, 64, "%s", gnu_get_libc_version());
    }
    return buf;
}

/* The value of the first line "key : value" of /proc/cpuinfo; free it. NULL if there is
 * none. */
static char *cpuinfo(const char *key, struct err *err)
{
    FILE *f = fopen("/proc/cpuinfo", "re");
    char *line = NULL, *out = NULL;
    size_t room = 0, n = strlen(key);

    while (f && !out && getline(&line, &room, f) > 0) {
        char *colon = strchr(line, ':');
        if (!colon || strncmp(line, key, n) != 0 || (line[n] != '\t' && line[n] != ' '))
            continue;
        colon += strspn(colon, ": \t");
        colon[strcspn(colon, "\n")] = '\0';
        out = mem_strdup(colon, err);
    }
    free(line);
    if (f)
        fclose(f);
    return out;
}

static void put_features(struct json_writer *w, char *flags)
{
    char *save = NULL;
    json_array(w);
    for (char *p = flags ? strtok_r(flags, " ", &save) : NULL; p;
         p = strtok_r(NULL, " ", &save))
        json_str(w, p);
    json_array_end(w);
}

int host_collect(struct strbuf *json, const char *kernels, int threads, struct err *err)
{
    struct json_writer w;
    struct utsname u;
    char *cpu = cpuinfo("model name", err), *flags = cpuinfo("flags", err);

    if (uname(&u))
        memset(&u, 0, sizeof(u));
    json_begin(&w, json, false);
    json_object(&w);
    json_member(&w, "name");
    json_str(&w, u.nodename);
    json_member(&w, "kernel");
    json_str(&w, u.release);
    json_member(&w, "machine");
    json_str(&w, u.machine);
    json_member(&w, "cpu");
    json_str(&w, cpu);
    json_member(&w, "cores");
    json_i64(&w, pool_cores());
    json_member(&w, "threads");
    json_i64(&w, threads);
    json_member(&w, "kernels");
    json_str(&w, kernels);
    json_member(&w, "features");
    put_features(&w, flags);
    json_object_end(&w);
    free(flags);
    free(cpu);
    return strbuf_failed(json, err);
}
