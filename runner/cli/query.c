/* Questions about runs: see query.h. */
#include "query.h"

#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum op { EQUAL, NOT_EQUAL, LESS, LESS_EQUAL, MORE, MORE_EQUAL };

/* ---- texts --------------------------------------------------------------------------
 */

const char *run_state_word(enum run_state state)
{
    static const char *const word[] = {"absent", "partial", "active", "sealed",
                                       "damaged"};
    return word[state];
}

void time_text(char out[32], double unix_seconds)
{
    time_t t = (time_t)unix_seconds;
    struct tm tm;

    out[0] = '\0';
    if (unix_seconds > 0 && gmtime_r(&t, &tm))
        strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

void seconds_text(char out[32], double seconds)
{
    long long s = (long long)seconds;

    if (!(seconds >= 60))
        snprintf(out, 32, "%.1f s", seconds);
    else if (s < 3600)
        snprintf(out, 32, "%lld:%02lld", s / 60, s % 60);
    else
        snprintf(out, 32, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
}

void bytes_text(char out[32], int64_t bytes)
{
    static const char *const unit[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    double x = (double)bytes;
    int u = 0;

    while (x >= 999.5 && u < 5) {
        x /= 1000;
        u++;
    }
    snprintf(out, 32, u && x < 9.95 ? "%.1f %s" : "%.0f %s", x, unit[u]);
}

/* Does " name=" begin here? Values may hold blanks, names do not. */
static bool begins_pair(const char *s)
{
    size_t n =
        strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.*/");

    return n > 0 && s[n] == '=';
}

static size_t value_length(const char *s)
{
    size_t n = 0;

    if (*s == '"') {
        for (n = 1; s[n] && s[n] != '"'; n++)
            n += s[n] == '\\' && s[n + 1];
        return n + (s[n] == '"');
    }
    while (s[n] && !(s[n] == ' ' && begins_pair(s + n + 1)))
        n++;
    return n;
}

static void copy(char *out, size_t size, const char *text, size_t n)
{
    if (n >= size)
        n = size - 1;
    memcpy(out, text, n);
    out[n] = '\0';
}

/* The text of a JSON string, whose opening quote is behind us; a long one may have lost
 * its end. */
static void unquote(char *out, size_t size, const char *text, size_t n)
{
    static const char letters[] = "bfnrt", meant[] = "\b\f\n\r\t";
    size_t at = 0;

    for (size_t i = 0; i < n && text[i] != '"' && at + 1 < size; i++) {
        const char *e;
        unsigned code;
        out[at] = text[i];
        if (text[i] == '\\' && i + 1 < n) {
            out[at] = text[++i];
            e = strchr(letters, text[i]);
            if (e)
                out[at] = meant[e - letters];
            if (text[i] == 'u' && i + 4 < n && sscanf(text + i + 1, "%4x", &code) == 1) {
                out[at] = (char)code; /* \u is written for control characters alone */
                i += 4;
            }
        }
        at++;
    }
    out[at] = '\0';
}

bool variable_next(const char **at, char name[128], char value[512])
{
    const char *s = *at + strspn(*at, " "), *eq = strchr(s, '=');
    size_t n;

    if (!*s || !eq)
        return false;
    copy(name, 128, s, (size_t)(eq - s));
    n = value_length(eq + 1);
    *at = eq + 1 + n;
    if (n >= 2 && eq[1] == '"')
        unquote(value, 512, eq + 2, n - 1);
    else
        copy(value, 512, eq + 1, n);
    return true;
}

/* ---- values -------------------------------------------------------------------------
 */

void query_run_release(struct query_run *r)
{
    run_close(r->run);
    r->run = NULL;
}

static bool to_number(const char *text, double *x)
{
    return text_double(x, text) == 0 && isfinite(*x);
}

static void set_text(struct value *v, const char *text)
{
    v->there = true;
    copy(v->text, sizeof v->text, text, strlen(text));
    v->is_number = to_number(text, &v->x);
}

static void set_number(struct value *v, double x)
{
    struct strbuf sb = STRBUF_INIT;

    strbuf_double(&sb, x);
    set_text(v, strbuf_text(&sb));
    strbuf_release(&sb);
    v->is_number = !isnan(x);
    v->x = x;
}

static void set_time(struct value *v, double t)
{
    char text[32];

    time_text(text, t);
    set_text(v, text);
    v->there = t > 0;
}

static const char *const fields[] = {
    "id",      "run",     "state", "spec",  "name", "stage",  "method",  "label", "seed",
    "seconds", "started", "ended", "bytes", "step", "digest", "failure", NULL,
};

/* Is the key a field? Then *v is filled. */
static bool field(struct value *v, const struct run_info *r, const char *key)
{
    if (!strcmp(key, "id") || !strcmp(key, "run"))
        set_text(v, r->id);
    else if (!strcmp(key, "state"))
        set_text(v, run_state_word(r->state));
    else if (!strcmp(key, "spec") || !strcmp(key, "name"))
        set_text(v, r->name);
    else if (!strcmp(key, "stage"))
        set_text(v, r->stage);
    else if (!strcmp(key, "method"))
        set_text(v, r->method);
    else if (!strcmp(key, "label"))
        set_text(v, r->label);
    else if (!strcmp(key, "seconds"))
        set_number(v, r->seconds);
    else if (!strcmp(key, "started"))
        set_time(v, r->started);
    else if (!strcmp(key, "ended"))
        set_time(v, r->ended);
    else if (!strcmp(key, "bytes"))
        set_number(v, (double)r->bytes);
    else if (!strcmp(key, "step"))
        set_number(v, (double)r->step);
    else if (!strcmp(key, "digest"))
        set_text(v, r->digest);
    else if (!strcmp(key, "failure"))
        set_text(v, r->failure);
    else
        return false;
    return true;
}

static bool variable(struct value *v, const struct run_info *r, const char *key)
{
    const char *at = r->variables;
    char name[128], value[512];

    while (variable_next(&at, name, value))
        if (!strcmp(name, key)) {
            set_text(v, value);
            return true;
        }
    if (strcmp(key, "seed") != 0)
        return false;
    if (r->has_seed)
        set_number(v, (double)r->seed);
    return true;
}

static bool open_run(struct query_run *r)
{
    struct err err = ERR_INIT;

    if (!r->tried) {
        r->tried = true;
        if (run_open(&r->run, r->store, r->info->id, true, &err))
            r->run = NULL; /* damaged, or gone: it has no metrics */
    }
    return r->run != NULL;
}

/* "f1" is the end of "eval/glue/mrpc/dev/f1". */
static bool names_metric(const char *name, const char *key)
{
    size_t n = strlen(name), k = strlen(key);

    return k <= n && !strcmp(name + n - k, key) && (k == n || name[n - k - 1] == '/');
}

bool query_names_metric(const struct string_list *names, const char *name)
{
    for (int64_t i = 0; i < names->n; i++)
        if (names_metric(name, names->v[i]) || !fnmatch(names->v[i], name, 0))
            return true;
    return false;
}

static void metric(struct value *v, struct query_run *r, const char *key)
{
    struct err err = ERR_INIT;
    struct series s;

    if (!open_run(r))
        return;
    for (int64_t i = 0; i < run_series_count(r->run); i++)
        if (!run_series(r->run, i, &s, &err) && s.n > 0 && names_metric(s.name, key)) {
            set_number(v, s.value[s.n - 1]);
            return;
        }
}

void query_value(struct value *out, struct query_run *r, const char *key)
{
    memset(out, 0, sizeof *out);
    if (!strcmp(key, "label") && !*r->info->label && variable(out, r->info, key))
        return; /* nobody named the run, but its point has a label */
    if (!field(out, r->info, key) && !variable(out, r->info, key))
        metric(out, r, key);
}

bool query_is_metric(const char *key, const struct query_run *list, int64_t n)
{
    struct value v = {.there = false};

    for (int64_t i = 0; i < n; i++)
        if (field(&v, list[i].info, key) || variable(&v, list[i].info, key))
            return false;
    return n > 0;
}

/* ---- as JSON ------------------------------------------------------------------------
 */

static void put_text(struct json_writer *w, const char *key, const char *text)
{
    json_member(w, key);
    json_str(w, *text ? text : NULL);
}

static void put_time(struct json_writer *w, const char *key, double t)
{
    char text[32];

    time_text(text, t);
    put_text(w, key, text);
}

void query_put_variables(struct json_writer *w, const char *at)
{
    char name[128], value[512];
    double x;

    json_object(w);
    while (variable_next(&at, name, value)) {
        json_member(w, name);
        if (to_number(value, &x))
            json_num(w, x);
        else
            json_str(w, value);
    }
    json_object_end(w);
}

void query_put_run(struct json_writer *w, const struct run_info *r)
{
    put_text(w, "id", r->id);
    put_text(w, "state", run_state_word(r->state));
    put_text(w, "spec", r->name);
    put_text(w, "stage", r->stage);
    put_text(w, "method", r->method);
    put_text(w, "label", r->label);
    json_member(w, "seed");
    if (r->has_seed)
        json_i64(w, (int64_t)r->seed);
    else
        json_str(w, NULL);
    json_member(w, "variables");
    query_put_variables(w, r->variables);
    put_time(w, "started", r->started);
    put_time(w, "ended", r->ended);
    json_member(w, "seconds");
    json_num(w, r->seconds);
    json_member(w, "bytes");
    json_i64(w, r->bytes);
    json_member(w, "step");
    json_i64(w, r->step);
    put_text(w, "digest", r->digest);
    put_text(w, "failure", r->failure);
}

/* ---- tests --------------------------------------------------------------------------
 */

int query_parse(struct test *out, const char *text, struct err *err)
{
    size_t n = strcspn(text, "=!<>");
    const char *op = text + n;

    if (!n || !*op || (*op == '!' && op[1] != '=') || n >= sizeof out->key)
        return err_set(
            err, ERR_INPUT,
            "\"%s\" is no test; write KEY=VALUE, or != < <= > >= in place of =, "
            "such as stage=result or accuracy>0.8",
            text);
    copy(out->key, sizeof out->key, text, n);
    out->op = *op == '=' ? EQUAL : *op == '!' ? NOT_EQUAL : *op == '<' ? LESS : MORE;
    op++;
    if (op[-1] == '!')
        op++;
    else if (*op == '=') { /* "==" is "=" */
        if (op[-1] != '=')
            out->op++;
        op++;
    }
    out->value = op;
    return 0;
}

static bool ordered(int op, int sign)
{
    switch (op) {
    case LESS:
        return sign < 0;
    case LESS_EQUAL:
        return sign <= 0;
    case MORE:
        return sign > 0;
    default:
        return sign >= 0;
    }
}

/* An id is tested by its first digits, as everywhere. */
static bool is_id(const char *key)
{
    return !strcmp(key, "id") || !strcmp(key, "run");
}

static bool equal(const struct test *t, const struct value *v)
{
    double x;

    if (is_id(t->key) && !strpbrk(t->value, "*?["))
        return !strncmp(v->text, t->value, strlen(t->value));
    if (v->is_number && to_number(t->value, &x))
        return !(v->x < x) && !(v->x > x);
    return fnmatch(t->value, v->text, 0) == 0;
}

bool query_holds(const struct test *t, struct query_run *r, bool *known)
{
    struct value v;
    double x;

    query_value(&v, r, t->key);
    if (!v.there)
        return false;
    *known = true;
    if (t->op == EQUAL || t->op == NOT_EQUAL)
        return equal(t, &v) == (t->op == EQUAL);
    if (to_number(t->value, &x))
        return v.is_number && ordered(t->op, v.x < x ? -1 : v.x > x);
    return ordered(t->op, strcmp(v.text, t->value));
}

/* ---- order --------------------------------------------------------------------------
 */

struct sorted {
    struct query_run run;
    struct value value;
    int64_t at;
    int sign;
};

static int compare(const void *pa, const void *pb)
{
    const struct sorted *a = pa, *b = pb;
    int c;

    if (a->value.there != b->value.there)
        return a->value.there ? -1 : 1;
    if (a->value.is_number != b->value.is_number)
        return a->value.is_number ? -1 : 1;
    if (a->value.is_number)
        c = a->value.x < b->value.x ? -1 : a->value.x > b->value.x;
    else
        c = strcmp(a->value.text, b->value.text);
    return c ? c * a->sign : a->at < b->at ? -1 : 1;
}

int query_sort(struct query_run *list, int64_t n, const char *key, bool reverse,
               struct err *err)
{
    struct sorted *s = mem_new(n, sizeof *s, err);
    bool known = n == 0;
    int rc = -1;

    if (!s)
        return -1;
    for (int64_t i = 0; i < n; i++) {
        query_value(&s[i].value, &list[i], key);
        s[i].run = list[i];
        s[i].at = i;
        s[i].sign = reverse ? -1 : 1;
        known = known || s[i].value.there;
    }
    if (!known) {
        query_unknown(key, list, n, err);
        goto done;
    }
    qsort(s, (size_t)n, sizeof *s, compare);
    for (int64_t i = 0; i < n; i++)
        list[i] = s[i].run;
    rc = 0;
done:
    free(s);
    return rc;
}

/* ---- what there is ------------------------------------------------------------------
 */

struct names {
    const char **v;
    char **own;
    int64_t n, capacity;
    struct err err;
};

static void add_name(struct names *names, const char *name)
{
    char *text;

    for (int64_t i = 0; i < names->n; i++)
        if (!strcmp(names->v[i], name))
            return;
    if (mem_grow((void **)&names->v, names->n + 1, &names->capacity, sizeof *names->v,
                 &names->err) ||
        !(text = mem_strdup(name, &names->err)))
        return;
    names->v[names->n++] = text;
    names->v[names->n] = NULL;
}

static void add_keys_of(struct names *names, struct query_run *r)
{
    const char *at = r->info->variables;
    char name[128], value[512];
    struct err err = ERR_INIT;
    struct series s;

    while (variable_next(&at, name, value))
        add_name(names, name);
    for (int64_t i = 0; open_run(r) && i < run_series_count(r->run); i++)
        if (!run_series(r->run, i, &s, &err)) {
            add_name(names, s.name);
            for (const char *p = s.name; (p = strchr(p, '/')); p++)
                add_name(names, p + 1);
        }
}

int query_unknown(const char *key, struct query_run *list, int64_t n, struct err *err)
{
    struct names names = {NULL, NULL, 0, 0, ERR_INIT};
    const char *near;

    for (const char *const *f = fields; *f; f++)
        add_name(&names, *f);
    for (int64_t i = 0; i < n; i++)
        add_keys_of(&names, &list[i]);
    near = names.v ? nearest_name(key, names.v) : NULL;
    for (int64_t i = 0; i < names.n && !near; i++) /* "acc" for "accuracy" */
        if (!strncmp(names.v[i], key, strlen(key)))
            near = names.v[i];
    if (near)
        err_set(err, ERR_MISSING,
                "no run here has a field, a variable or a metric \"%s\"; did you mean "
                "\"%s\"?",
                key, near);
    else
        err_set(err, ERR_MISSING,
                "no run here has a field, a variable or a metric \"%s\"", key);
    for (int64_t i = 0; i < names.n; i++) {
        const void *p = names.v[i];
        char *own;
        memcpy(&own, &p, sizeof own);
        free(own);
    }
    free(names.v);
    return -1;
}

int find_run(struct store *store, const char *name, char id[65], struct err *err)
{
    struct run_info *list;
    int64_t n, best = -1;

    if (strcmp(name, "latest") != 0)
        return store_resolve(store, name, id, err);
    if (store_list(store, &list, &n, err))
        return -1;
    for (int64_t i = 0; i < n; i++)
        if (list[i].state != RUN_DAMAGED &&
            (best < 0 || list[i].started >= list[best].started))
            best = i;
    if (best < 0)
        err_set(err, ERR_MISSING, "%s: there are no runs yet", store_dir(store));
    else
        memcpy(id, list[best].id, 65);
    free(list);
    return best < 0 ? -1 : 0;
}
