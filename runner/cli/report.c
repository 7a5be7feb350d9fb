/*
 * retort report: a sweep as one page of HTML.
 *
 * WHAT is the spec, its tables, or both; without a table, all that the spec's folder
 * declares of it are taken.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cells.h"
#include "retort/file.h"
#include "verbs.h"

struct args {
    struct common common;
    struct string_list what;
    const char *out, *spec;
    struct string_list set;
};

struct report {
    const struct args *args;
    struct arena *arena;
    const char **decl; /* files of tables */
    int64_t n, capacity;
    const char *spec;   /* the file */
    struct cells first; /* the spec, the plan, the store */
    struct cells *cells;
    struct page_table *table;
    int64_t problems; /* cells that are not whole, tables that cannot be filled */
};

/* ---- which files ---- */

/* What the file is: 't' a table's declaration, 's' a spec. A file that is no JSON is left
 * to the reader of specs, who says what is wrong and where. */
static char kind_of(const char *path)
{
    struct err none = ERR_INIT;
    struct json_doc *doc = json_parse_file(path, &none);
    char kind = doc && json_get(json_root(doc), "table") ? 't' : 's';

    json_doc_free(doc);
    return kind;
}

static int add_decl(struct report *r, const char *path, struct err *err)
{
    if (mem_grow((void **)&r->decl, r->n, &r->capacity, sizeof *r->decl, err))
        return -1;
    r->decl[r->n++] = arena_strdup(r->arena, path);
    return arena_failed(r->arena, err);
}

static bool same_file(const char *a, const char *b)
{
    char *x = realpath(a, NULL), *y = realpath(b, NULL);
    bool yes = x && y && strcmp(x, y) == 0;

    free(y);
    free(x);
    return yes;
}

/* The spec that a table names, in the arena. */
static int spec_of(struct report *r, const char **out, const char *decl, struct err *err)
{
    struct table *t = NULL;

    if (table_load(&t, decl, err))
        return -1;
    *out = table_spec(t) ? arena_strdup(r->arena, table_spec(t)) : NULL;
    table_free(t);
    return arena_failed(r->arena, err);
}

static int take_table(struct report *r, const char *decl, struct err *err)
{
    const char *spec;

    if (add_decl(r, decl, err))
        return -1;
    if (r->args->spec)
        return 0;
    if (spec_of(r, &spec, decl, err))
        return -1;
    if (!spec)
        return err_set(err, ERR_INPUT, "%s: \"spec\" is missing: whose runs are told",
                       decl);
    if (!r->spec)
        r->spec = spec;
    if (!same_file(r->spec, spec))
        return err_set(err, ERR_INPUT, "a report is of one sweep: %s is of %s, not of %s",
                       decl, spec, r->spec);
    return 0;
}

/* Tables beside the spec that are of it. Other files there are none of ours: what cannot
 * be read is passed over. */
static int find_tables(struct report *r, struct err *err)
{
    char *dir = path_dir(r->spec, err), **list = NULL;
    int rc = dir ? file_list(&list, dir, err) : -1;

    for (int64_t i = 0; !rc && list[i]; i++) {
        size_t n = strlen(list[i]);
        struct err none = ERR_INIT;
        const char *spec = NULL;
        char *path;
        if (n < 6 || strcmp(list[i] + n - 5, ".json") != 0)
            continue;
        path = path_join(dir, list[i], err);
        rc = path ? 0 : -1;
        if (!rc && kind_of(path) == 't' && !spec_of(r, &spec, path, &none) && spec &&
            same_file(spec, r->spec))
            rc = add_decl(r, path, err);
        free(path);
    }
    file_list_free(list);
    free(dir);
    return rc;
}

static int read_what(struct report *r, struct err *err)
{
    const struct args *args = r->args;

    r->spec = args->spec;
    for (int pass = 0; pass < 2; pass++) /* the spec first: tables must be of it */
        for (int64_t i = 0; i < args->what.n; i++) {
            const char *path = args->what.v[i];
            bool table = kind_of(path) == 't';
            if (table != (pass == 1))
                continue;
            if (table) {
                if (take_table(r, path, err))
                    return -1;
            } else if (r->spec && !same_file(r->spec, path)) {
                return err_set(err, ERR_INPUT,
                               "a report is of one sweep: %s and %s are two", r->spec,
                               path);
            } else {
                r->spec = path;
            }
        }
    return r->n ? 0 : find_tables(r, err);
}

/* ---- the tables ---- */

static int fill_tables(struct report *r, struct err *err)
{
    r->cells = arena_zalloc(r->arena, (r->n + 1) * (int64_t)sizeof *r->cells);
    r->table = arena_zalloc(r->arena, (r->n + 1) * (int64_t)sizeof *r->table);
    if (arena_failed(r->arena, err))
        return -1;
    for (int64_t i = 0; i < r->n; i++) {
        struct err why = ERR_INIT;
        struct cells *c = &r->cells[i];
        r->table[i].name = r->decl[i];
        if (cells_share(c, r->decl[i], &r->first, &why) || cells_fill(c, &why)) {
            r->table[i].problem = arena_strdup(r->arena, why.text);
            r->problems++;
        } else {
            r->table[i].table = c->table;
            r->problems += table_problems(c->table);
        }
    }
    return arena_failed(r->arena, err);
}

/* ---- the page ---- */

/* A path as part of an address: what could end or change it percent-encoded. */
static void url_path(struct strbuf *out, const char *path)
{
    for (; *path; path++) {
        unsigned char c = (unsigned char)*path;
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            strchr("/-._~", c))
            strbuf_putc(out, (char)c);
        else
            strbuf_printf(out, "%%%02X", c);
    }
}

/* From the folder of the page to the store, percent-encoded; NULL where one of them has
 * no place. */
static char *store_url(const char *out, const char *store, struct err *err)
{
    char *dir = path_dir(out, err);
    char *from = dir ? realpath(dir, NULL) : NULL, *to = realpath(store, NULL);
    struct strbuf sb = STRBUF_INIT;
    size_t same = 0;

    if (from && to) {
        for (size_t i = 0; from[i] == to[i] || !from[i] || !to[i]; i++) {
            if ((!from[i] || from[i] == '/') && (!to[i] || to[i] == '/'))
                same = i;
            if (!from[i] || !to[i])
                break;
        }
        for (const char *p = from + same; *p; p++)
            if (*p == '/' && p[1])
                strbuf_puts(&sb, "../");
        strbuf_puts(&sb, to[same] ? "" : "./");
        url_path(&sb, to + same + (to[same] == '/'));
    }
    free(to);
    free(from);
    free(dir);
    return sb.len ? strbuf_take(&sb, err) : NULL;
}

/* Seconds since 1970; of a build that is to be repeated, SOURCE_DATE_EPOCH. */
static double page_time(void)
{
    const char *given = getenv("SOURCE_DATE_EPOCH");
    double t;

    return given && !text_double(&t, given) ? t : (double)time(NULL);
}

static int write_page(struct report *r, int64_t *missing, struct err *err)
{
    const char *path = r->args->out;
    struct strbuf out = STRBUF_INIT;
    char *url = store_url(path, store_dir(r->first.store), err);
    struct page page = {.plan = r->first.plan,
                        .store = r->first.store,
                        .table = r->table,
                        .n_tables = r->n,
                        .store_url = url,
                        .now = page_time()};
    int rc = page_print(&out, &page, missing, err);

    if (!rc)
        rc = file_write(path, strbuf_text(&out), (int64_t)out.len, err);
    strbuf_release(&out);
    free(url);
    return rc;
}

static int make(struct report *r, int64_t *missing, struct err *err)
{
    r->arena = arena_new(err);
    if (!r->arena || read_what(r, err) ||
        cells_open_spec(&r->first, r->spec, &r->args->set, r->args->common.store, err) ||
        fill_tables(r, err))
        return -1;
    return write_page(r, missing, err);
}

static int run(const void *given)
{
    struct report r = {.args = given};
    struct err err = ERR_INIT;
    int64_t missing = 0;
    int rc;

    if (make(&r, &missing, &err)) {
        rc = tell_error(&err);
    } else {
        printf("%s\n", r.args->out);
        for (int64_t i = 0; i < r.n; i++)
            if (r.table[i].problem)
                fprintf(stderr, "retort: %s: %s\n", r.decl[i], r.table[i].problem);
        if (missing)
            fprintf(stderr,
                    "retort: %lld of %lld jobs have no result; the page names them\n",
                    (long long)missing, (long long)r.first.plan->n);
        rc = missing > 0 || r.problems > 0;
    }
    for (int64_t i = 0; r.cells && i < r.n; i++)
        cells_close(&r.cells[i]);
    cells_close(&r.first);
    free(r.decl);
    arena_free(r.arena);
    return rc;
}

#define AT(field) offsetof(struct args, field)
static const struct operand operands[] = {
    {.name = "WHAT",
     .many = true,
     .help = "the spec, or declarations of tables of one spec, or both",
     .offset = AT(what)},
    OPERAND_END,
};
static const struct flag flags[] = {
    {.name = "out",
     .letter = 'o',
     .type = OPT_STRING,
     .value = "FILE",
     .def = "report.html",
     .help = "write the page there",
     .offset = AT(out)},
    CELLS_FLAGS(struct args),
    FLAG_END,
};

const struct verb verb_report = {
    .name = "report",
    .group = "Results",
    .summary = "a sweep as one page of HTML",
    .operands = operands,
    .flags = flags,
    .common = COMMON_STORE,
    .about =
        "Tables that sort, their plots, curves and maps of each stage, every run with "
        "its pins, and what failed or was not run; light and dark, without a "
        "network. With a spec alone, the tables are those that its folder declares "
        "of it. The exit code is 1 if something is missing.\n\n"
        "  retort report experiments/quickstart.json -o quickstart.html\n"
        "  retort report heads.table.json curve.json -o heads.html",
    .size = sizeof(struct args),
    .run = run,
};
