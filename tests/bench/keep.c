/*
 * Finished cases are kept in FOLDER/kept, one file for each name, with the digest of all
 * that decides their figures: the programs, the peer's script and Python, the processor
 * and threads; and with the rounds and peers that were asked for. A run that was stopped,
 * or that asks for more, measures the rest.
 */
#include "driver.h"

#include <stdlib.h>
#include <string.h>

#include "retort/file.h"
#include "retort/hash.h"

void processor_name(char *out, size_t size)
{
    FILE *f = fopen("/proc/cpuinfo", "r");
    char line[256];

    snprintf(out, size, "unknown processor");
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, "model name", 10) && strchr(line, ':'))
            snprintf(out, size, "%.*s", (int)strcspn(strchr(line, ':') + 2, "\n"),
                     strchr(line, ':') + 2);
    if (f)
        fclose(f);
}

int kept_build(struct setup *s, struct err *err)
{
    char self[SHA256_HEX], program[SHA256_HEX], peer[SHA256_HEX], name[200];
    const char *rounds = getenv("BENCH_ROUNDS"), *peers = getenv("BENCH_PEERS");
    struct strbuf all = STRBUF_INIT;
    int rc = -1;

    processor_name(name, sizeof name);
    if (sha256_file(self, s->self, err) || sha256_file(program, s->retort, err) ||
        sha256_file(peer, "tests/bench/peer.py", err))
        return -1;
    snprintf(s->how, sizeof s->how, "%s rounds, %s", rounds ? rounds : "all",
             peers ? peers : "all peers");
    strbuf_printf(&all, "%s %s %s %s %s %d", self, program, peer,
                  s->python ? s->python : "no peer", name, s->threads);
    if (!strbuf_failed(&all, err)) {
        sha256_text(s->build, all.text, all.len);
        rc = 0;
    }
    strbuf_release(&all);
    return rc;
}

static void kept_path(char *path, size_t size, const struct setup *s, const char *name)
{
    snprintf(path, size, "%s/kept/%s.json", s->folder, name);
    for (char *p = path + strlen(s->folder) + 6; *p; p++)
        if (*p == ' ' || *p == '/')
            *p = '-';
}

char *kept_load(const struct setup *s, const char *name)
{
    struct err none = ERR_INIT;
    struct json_doc *doc = NULL;
    const char *build, *how;
    char path[1200], *text = NULL;

    kept_path(path, sizeof path, s, name);
    if (getenv("BENCH_AGAIN") || file_read(&text, NULL, path, 1 << 24, &none))
        return NULL;
    doc = json_parse_file(path, &none);
    build = doc ? json_string(json_get(json_root(doc), "build")) : NULL;
    how = doc ? json_string(json_get(json_root(doc), "how")) : NULL;
    if (!build || !how || strcmp(build, s->build) != 0 ||
        (!case_kept_alone() && strcmp(how, s->how) != 0)) {
        free(text);
        text = NULL;
    }
    json_doc_free(doc);
    return text;
}

bool kept_is(const struct setup *s, const char *name)
{
    char *text = kept_load(s, name);
    bool is = text != NULL;

    free(text);
    return is;
}

int kept_save(const struct setup *s, const char *name, const char *text, struct err *err)
{
    char path[1200];

    snprintf(path, sizeof path, "%s/kept", s->folder);
    if (file_mkdirs(path, err))
        return -1;
    kept_path(path, sizeof path, s, name);
    return file_write(path, text, (int64_t)strlen(text), err);
}
