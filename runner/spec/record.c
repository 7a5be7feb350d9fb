/*
 * "record": what runs keep beyond the default. Read from a spec with places, written as
 * canonical JSON into the run, and compared, since a cached run serves a request only if
 * its own record covers it.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "tree.h"

#define EXAMPLES 8 /* where a spec does not say how many */

/* In the order of canonical JSON. */
static const struct {
    const char *name;
    unsigned kind;
    size_t every, examples; /* offsets; examples 0: of the whole, not of examples */
} parts[] = {
    {"activations", RECORDS_PASS, offsetof(struct record_options, activations),
     offsetof(struct record_options, activation_examples)},
    {"attention", RECORDS_PASS, offsetof(struct record_options, attention),
     offsetof(struct record_options, attention_examples)},
    {"gradients", RECORDS_STEPS, offsetof(struct record_options, gradients), 0},
    {"weights", RECORDS_STEPS, offsetof(struct record_options, weights), 0},
};
#define PARTS (sizeof parts / sizeof *parts)
static const char *const names[] = {"activations", "attention", "gradients", "weights",
                                    NULL};

static int64_t get(const struct record_options *r, size_t offset)
{
    return *(const int64_t *)(const void *)((const char *)r + offset);
}

static void set(struct record_options *r, size_t offset, int64_t x)
{
    *(int64_t *)(void *)((char *)r + offset) = x;
}

/* ---- from a spec ---- */

/* "all" where it is offered, or a whole number of at least 1; 0 after an error. */
static int64_t read_count(struct spec *sp, const struct node *v, const char *what,
                          bool all)
{
    if (all && v->kind == JSON_STRING && !strcmp(v->text, "all"))
        return RECORD_ALL_EXAMPLES;
    if (v->kind == JSON_NUMBER && v->is_int && v->number >= 1)
        return (int64_t)v->number;
    node_error(sp, v, "%s: a whole number of at least 1%s", what,
               all ? ", or \"all\"" : "");
    return 0;
}

static void read_part(struct spec *sp, const struct node *v, size_t i,
                      struct record_options *out)
{
    static const char *const keys[] = {"every", "examples", NULL};
    const struct node *every = v, *examples = NULL;

    if (v->kind == JSON_OBJECT) {
        for (const struct node *m = v->first; m; m = m->next)
            if (strcmp(m->key, "every") != 0 && strcmp(m->key, "examples") != 0)
                node_unknown_key(sp, m, "\"record\"", keys);
        every = node_get(v, "every");
        examples = node_get(v, "examples");
        if (!every) {
            node_error(sp, v, "\"%s\" needs \"every\": recorded every so many steps",
                       parts[i].name);
            return;
        }
    } else if (v->kind != JSON_NUMBER) {
        node_error(sp, v, "\"%s\" is recorded every so many steps: %s", parts[i].name,
                   parts[i].examples ? "100, or {\"every\": 100, \"examples\": 8}"
                                     : "100");
        return;
    }
    set(out, parts[i].every, read_count(sp, every, "steps between two records", false));
    if (examples && !parts[i].examples)
        node_key_error(sp, examples, "\"%s\" are of the whole model, not of examples",
                       parts[i].name);
    else if (parts[i].examples)
        set(out, parts[i].examples,
            examples ? read_count(sp, examples, "examples of a step", true) : EXAMPLES);
}

struct record_options record_mask(const struct record_options *r, unsigned kinds)
{
    struct record_options out = {0};

    for (size_t i = 0; i < PARTS; i++)
        if (parts[i].kind & kinds && get(r, parts[i].every)) {
            set(&out, parts[i].every, get(r, parts[i].every));
            if (parts[i].examples)
                set(&out, parts[i].examples, get(r, parts[i].examples));
        }
    return out;
}

static bool is_text(const struct node *v, const char *text)
{
    return v->kind == JSON_STRING && !strcmp(v->text, text);
}

struct record_options record_read(struct spec *sp, const struct node *v,
                                  const struct method *method)
{
    static const struct record_options all = {
        1, 1, 1, 1, RECORD_ALL_EXAMPLES, RECORD_ALL_EXAMPLES};
    struct record_options out = {0};

    if (!v || is_text(v, "default"))
        return out;
    if (is_text(v, "all"))
        return all;
    if (v->kind != JSON_OBJECT) {
        node_error(
            sp, v,
            "\"record\" is \"default\", \"all\", or an object like {\"weights\": 100}");
        return out;
    }
    for (const struct node *m = v->first; m; m = m->next) {
        size_t i = 0;
        while (i < PARTS && strcmp(parts[i].name, m->key))
            i++;
        if (i == PARTS)
            node_unknown_key(sp, m, "\"record\"", names);
        else if (method && !(parts[i].kind & method->records))
            node_key_error(sp, m, "%s has no %s to record", method->name, m->key);
        else
            read_part(sp, m, i, &out);
    }
    return out;
}

void record_schema(struct json_writer *w)
{
    static const char steps[] = "{\"type\":\"integer\",\"minimum\":1}";

    json_object(w);
    json_member(w, "anyOf");
    json_array(w);
    json_raw(w, "{\"enum\":[\"default\",\"all\"]}");
    json_object(w);
    json_member(w, "type");
    json_str(w, "object");
    json_member(w, "properties");
    json_object(w);
    for (size_t i = 0; i < PARTS; i++) {
        json_member(w, parts[i].name);
        json_raw(
            w,
            parts[i].examples
                ? "{\"anyOf\":[{\"type\":\"integer\",\"minimum\":1},{\"type\":\"object\","
                  "\"properties\":{\"every\":{\"type\":\"integer\",\"minimum\":1},"
                  "\"examples\":{\"anyOf\":[{\"type\":\"integer\",\"minimum\":1},"
                  "{\"const\":\"all\"}]}},\"required\":[\"every\"],"
                  "\"additionalProperties\":false}]}"
                : steps);
    }
    json_object_end(w);
    json_member(w, "additionalProperties");
    json_flag(w, false);
    json_object_end(w);
    json_array_end(w);
    json_object_end(w);
}

/* ---- as text ---- */

void record_write(struct json_writer *w, const struct record_options *r)
{
    json_object(w);
    for (size_t i = 0; i < PARTS; i++) {
        if (!get(r, parts[i].every))
            continue;
        json_member(w, parts[i].name);
        if (!parts[i].examples) {
            json_i64(w, get(r, parts[i].every));
            continue;
        }
        json_object(w);
        json_member(w, "every");
        json_i64(w, get(r, parts[i].every));
        json_member(w, "examples");
        if (get(r, parts[i].examples) == RECORD_ALL_EXAMPLES)
            json_str(w, "all");
        else
            json_i64(w, get(r, parts[i].examples));
        json_object_end(w);
    }
    json_object_end(w);
}

const char *record_text(struct arena *arena, const struct record_options *r)
{
    struct strbuf sb = STRBUF_INIT;
    struct json_writer w;

    json_begin(&w, &sb, false);
    record_write(&w, r);
    const char *text =
        strbuf_failed(&sb, NULL) ? NULL : arena_strdup(arena, strbuf_text(&sb));
    strbuf_release(&sb);
    return text;
}

int record_parse(struct record_options *out, const char *text, struct err *err)
{
    struct diags *diags = diags_new(err);
    struct json_doc *doc;
    int rc;

    memset(out, 0, sizeof *out);
    if (!diags)
        return -1;
    doc =
        json_parse(text ? text : "{}", text ? (int64_t)strlen(text) : 2, "record", diags);
    rc = diags_to_err(diags, err);
    for (size_t i = 0; doc && i < PARTS; i++) {
        const struct json *v = json_get(json_root(doc), parts[i].name);
        if (!v)
            continue;
        set(out, parts[i].every, json_int(parts[i].examples ? json_get(v, "every") : v));
        if (parts[i].examples) {
            const struct json *n = json_get(v, "examples");
            set(out, parts[i].examples,
                json_string(n) ? RECORD_ALL_EXAMPLES : json_int(n));
        }
    }
    json_doc_free(doc);
    diags_free(diags);
    return rc;
}

/* ---- compared ---- */

bool record_is_default(const struct record_options *r)
{
    for (size_t i = 0; i < PARTS; i++)
        if (get(r, parts[i].every))
            return false;
    return true;
}

bool record_covers(const struct record_options *have, const struct record_options *want)
{
    for (size_t i = 0; i < PARTS; i++) {
        int64_t h = get(have, parts[i].every), w = get(want, parts[i].every);
        if (w && (!h || w % h ||
                  (parts[i].examples &&
                   get(have, parts[i].examples) < get(want, parts[i].examples))))
            return false;
    }
    return true;
}

static int64_t divisor(int64_t a, int64_t b)
{
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

struct record_options record_join(const struct record_options *a,
                                  const struct record_options *b)
{
    struct record_options out = {0};

    for (size_t i = 0; i < PARTS; i++) {
        set(&out, parts[i].every,
            divisor(get(a, parts[i].every), get(b, parts[i].every)));
        if (parts[i].examples) {
            int64_t x = get(a, parts[i].examples), y = get(b, parts[i].examples);
            set(&out, parts[i].examples, x > y ? x : y);
        }
    }
    return out;
}

/* ---- forecast ---- */

/* How often, and of how many examples each time. */
static double times(int64_t every, int64_t steps)
{
    return every ? (double)((steps + every - 1) / every) : 0;
}

static double examples_of(int64_t examples, int64_t batch)
{
    return (double)(examples < batch ? examples : batch);
}

int64_t record_bytes(const struct record_options *r, const struct record_facts *f)
{
    const double dataset = 800; /* HDF5's own, for each array */
    double tokens = f->tokens, square = f->tokens * f->tokens, sum = 0;
    double act = examples_of(r->activation_examples, f->batch);
    double att = examples_of(r->attention_examples, f->batch);

    sum += (times(r->weights, f->steps) + times(r->gradients, f->steps)) *
           (4 * (double)f->parameters + dataset * (double)f->tensors);
    sum += times(r->activations, f->steps) *
           (act * tokens * 4 * (double)(f->width * (f->layers + 1) + 2) +
            dataset * (double)(f->layers + 6));
    sum += times(r->attention, f->steps) * att * (double)f->layers *
           (4 * (double)f->heads * square + dataset);
    return sum < 9e18 ? (int64_t)sum : INT64_MAX;
}
