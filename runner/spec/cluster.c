/*
 * "cluster": what jobs ask of a cluster's scheduler. Checked here, so that a word that
 * Slurm would refuse is told with its place; in no id, since it decides no bit.
 */
#include <stddef.h>
#include <string.h>

#include "tree.h"

#define COUNT_MAX 1000000

static const struct {
    const char *name, *help;
    size_t offset;
    double least;
} counts[] = {
    {"cores", "processors of a task: threads of its jobs",
     offsetof(struct cluster, cores), 1},
    {"gpus", "devices of a task", offsetof(struct cluster, gpus), 0},
    {"chunk", "jobs that a task does, one after another; without it, ten minutes' worth",
     offsetof(struct cluster, chunk), 1},
    {"warn", "seconds before its time is over that a task saves and is queued again",
     offsetof(struct cluster, warn), 1},
};
#define COUNTS (sizeof counts / sizeof *counts)

static const char digits[] = "0123456789",
                  word[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                           "0123456789_-.,+";

static bool is_memory(const char *text)
{
    size_t n = strspn(text, digits);

    return n > 0 && n < 10 && (!text[n] || (strchr("KMGT", text[n]) && !text[n + 1]));
}

/* minutes, minutes:seconds, hours:minutes:seconds, days-hours[:minutes[:seconds]] */
static bool is_time(const char *text)
{
    int colons = 0, dashes = 0;

    for (const char *p = text; *p; p++) {
        bool digit = strchr(digits, *p) != NULL, end = !p[1] || !strchr(digits, p[1]);
        if (!digit && (p == text || end))
            return false;
        colons += *p == ':';
        dashes += *p == '-';
        if ((*p == '-' && (dashes > 1 || colons)) || (!digit && !strchr(":-", *p)))
            return false;
    }
    return *text && colons <= 2 && strlen(text) < 24;
}

static bool is_word(const char *text)
{
    return *text && text[strspn(text, word)] == '\0' && strlen(text) < 128;
}

static const struct {
    const char *name, *help, *wants;
    size_t offset;
    bool (*good)(const char *text);
} texts[] = {
    {"memory", "of a task", "a number and K, M, G or T, like \"8G\"",
     offsetof(struct cluster, memory), is_memory},
    {"time", "that a task may take", "a time like \"90\" (minutes) or \"1-12:00:00\"",
     offsetof(struct cluster, time), is_time},
    {"partition", "of the cluster", "a name of a partition",
     offsetof(struct cluster, partition), is_word},
    {"account", "that pays", "a name of an account", offsetof(struct cluster, account),
     is_word},
};
#define TEXTS (sizeof texts / sizeof *texts)

static const char *const names[] = {"cores", "gpus",      "chunk",   "warn",   "memory",
                                    "time",  "partition", "account", "stages", NULL};

static void read_count(struct spec *sp, const struct node *v, size_t i,
                       struct cluster *out)
{
    int64_t *to = (int64_t *)(void *)((char *)out + counts[i].offset);

    if (v->kind != JSON_NUMBER || !v->is_int || v->number < counts[i].least ||
        v->number > COUNT_MAX)
        node_error(sp, v, "\"%s\" wants a whole number of at least %.0f", counts[i].name,
                   counts[i].least);
    else
        *to = (int64_t)v->number;
}

static void read_text(struct spec *sp, const struct node *v, size_t i,
                      struct cluster *out)
{
    const char **to = (const char **)(void *)((char *)out + texts[i].offset);

    if (v->kind != JSON_STRING || !texts[i].good(v->text))
        node_error(sp, v, "\"%s\" wants %s", texts[i].name, texts[i].wants);
    else
        *to = v->text;
}

static void read_all(struct spec *sp, const struct node *object, bool top,
                     struct cluster *out)
{
    for (const struct node *m = object->first; m; m = m->next) {
        size_t i = 0, k = 0;
        while (i < COUNTS && strcmp(counts[i].name, m->key))
            i++;
        while (k < TEXTS && strcmp(texts[k].name, m->key))
            k++;
        if (i < COUNTS)
            read_count(sp, m, i, out);
        else if (k < TEXTS)
            read_text(sp, m, k, out);
        else if (!top || strcmp(m->key, "stages"))
            node_unknown_key(sp, m, "\"cluster\"", names);
    }
}

static bool is_object(struct spec *sp, const struct node *v)
{
    if (v->kind == JSON_OBJECT)
        return true;
    node_error(sp, v, "\"%s\" wants an object, this is %s", v->key,
               json_kind_name(v->kind));
    return false;
}

void cluster_read(struct spec *sp, const struct node *cluster)
{
    struct cluster all = {.cores = 1, .warn = 120};
    const struct node *stages;

    sp->cluster =
        arena_zalloc(sp->arena, (sp->n_stages + 1) * (int64_t)sizeof *sp->cluster);
    if (!sp->cluster)
        return;
    if (cluster && is_object(sp, cluster))
        read_all(sp, cluster, true, &all);
    for (int64_t i = 0; i < sp->n_stages; i++)
        sp->cluster[i] = all;
    stages = cluster ? node_get(cluster, "stages") : NULL;
    if (!stages || !is_object(sp, stages))
        return;
    for (const struct node *m = stages->first; m; m = m->next) {
        int64_t i = 0;
        while (i < sp->n_stages && strcmp(sp->stage[i], m->key))
            i++;
        if (i == sp->n_stages)
            node_unknown_key(sp, m, "the stages", sp->stage);
        else if (is_object(sp, m))
            read_all(sp, m, false, &sp->cluster[i]);
    }
}

struct cluster spec_cluster(const struct spec *spec, const char *stage)
{
    for (int64_t i = 0; i < spec->n_stages; i++)
        if (!strcmp(spec->stage[i], stage))
            return spec->cluster[i];
    return (struct cluster){.cores = 1, .warn = 120};
}

static void put_property(struct json_writer *w, const char *name, const char *type,
                         const char *help)
{
    json_member(w, name);
    json_object(w);
    json_member(w, "type");
    json_str(w, type);
    json_member(w, "description");
    json_str(w, help);
    json_object_end(w);
}

void cluster_schema(struct json_writer *w, bool top)
{
    json_object(w);
    json_member(w, "type");
    json_str(w, "object");
    json_member(w, "additionalProperties");
    json_flag(w, false);
    json_member(w, "properties");
    json_object(w);
    for (size_t i = 0; i < COUNTS; i++)
        put_property(w, counts[i].name, "integer", counts[i].help);
    for (size_t i = 0; i < TEXTS; i++)
        put_property(w, texts[i].name, "string", texts[i].help);
    if (top) {
        json_member(w, "stages");
        json_object(w);
        json_member(w, "additionalProperties");
        cluster_schema(w, false);
        json_object_end(w);
    }
    json_object_end(w);
    json_object_end(w);
}
