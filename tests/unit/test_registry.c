/* The tables of methods, tasks and metrics: what all of their readers rely on. */
#include "check.h"

#include "retort/json.h"
#include "retort/method.h"

/* Keys that every stage may have; no option or input can be named so. */
static const char *const stage_keys[] = {"do",   "over",   "seed", "as",
                                         "note", "record", NULL};

static bool is_among(const char *const *names, int64_t n, const char *name)
{
    for (int64_t i = 0; n < 0 ? names[i] != NULL : i < n; i++)
        if (!strcmp(names[i], name))
            return true;
    return false;
}

/* The default is JSON of the option's type, within its range. */
static void check_default(const struct method *m, const struct option *o, const char *def)
{
    struct err err = ERR_INIT;
    struct diags *diags = diags_new(&err);
    struct json_doc *doc = json_parse(def, (int64_t)strlen(def), "default", diags);
    const struct json *v = doc ? json_root(doc) : NULL;
    bool ok = v != NULL;

    switch (ok ? o->type : OPT_STRINGS) {
    case OPT_INT:
        ok = json_is_int(v);
        break;
    case OPT_REAL:
        ok = json_kind(v) == JSON_NUMBER;
        break;
    case OPT_BOOL:
        ok = json_kind(v) == JSON_BOOL;
        break;
    case OPT_STRING:
        ok = json_kind(v) == JSON_STRING;
        break;
    case OPT_ENUM:
        ok = json_kind(v) == JSON_STRING && is_among(o->choices, -1, json_string(v));
        break;
    case OPT_INTS:
    case OPT_STRINGS:
        ok = ok && json_kind(v) == JSON_ARRAY;
        break;
    }
    if (ok && o->min < o->max && json_kind(v) == JSON_NUMBER)
        ok = json_number(v) >= o->min && json_number(v) <= o->max;
    if (!ok)
        fail_msg("%s: the default of \"%s\" is %s", m->name, o->name, def);
    json_doc_free(doc);
    diags_free(diags);
}

static void check_options(const struct method *m, const char **seen, int64_t *n)
{
    for (const struct option *o = m->options; o && o->name; o++) {
        if (is_among(seen, *n, o->name) || is_among(stage_keys, -1, o->name))
            fail_msg("%s: \"%s\" is named twice", m->name, o->name);
        seen[(*n)++] = o->name;
        size_t len = o->help ? strlen(o->help) : 0; /* one sentence, no full stop */
        if (len < 2 || (o->help[len - 1] == '.' && o->help[len - 2] != '.'))
            fail_msg("%s: the help of \"%s\"", m->name, o->name);
        if (o->offset >= m->options_size || (o->type == OPT_ENUM) != (o->choices != NULL))
            fail_msg("%s: the row of \"%s\"", m->name, o->name);
        if (o->def)
            check_default(m, o, o->def);
    }
}

static void rows_of_methods_are_sound(void **state)
{
    const char *names[256], *seen[256];
    int64_t n_names = 0;

    (void)state;
    for (const struct method *const *list = method_list(); *list; list++) {
        const struct method *m = *list;
        int64_t n = 0;
        assert_false(is_among(names, n_names, m->name));
        names[n_names++] = m->name;
        assert_true(m->summary && m->version >= 1 && m->run && m->outputs);
        check_options(m, seen, &n);
        for (const struct input *in = m->inputs; in && in->name; in++) {
            if (is_among(seen, n, in->name) || is_among(stage_keys, -1, in->name))
                fail_msg("%s: \"%s\" is named twice", m->name, in->name);
            seen[n++] = in->name;
            assert_true(in->kinds && in->help && *in->help);
        }
        for (const struct option_default *d = m->code; d && d->option; d++) {
            const struct option *o = m->options;
            while (o->name && strcmp(o->name, d->option) != 0)
                o++;
            if (!o->name)
                fail_msg("%s: no option \"%s\" of the code's", m->name, d->option);
            check_default(m, o, d->def);
        }
    }
}

static void rows_of_tasks_are_sound(void **state)
{
    const char *names[256];
    int64_t n_names = 0;

    (void)state;
    for (const struct task *const *list = task_list(); *list; list++) {
        const struct task *t = *list;
        int64_t labels = 0;
        assert_false(is_among(names, n_names, t->name));
        names[n_names++] = t->name;
        assert_true(strchr(t->name, '/') && t->summary && t->version >= 1 &&
                    t->max_len > 0);
        assert_true(t->metrics[0] && t->splits[0] && t->load && t->labels >= 1);
        while (t->label_names && t->label_names[labels])
            labels++;
        if (t->label_names)
            assert_int_equal(labels, t->labels);
        assert_true(t->files || t->vocab); /* read, or made with words of its own */
        for (const char *const *s = t->splits; t->files && *s; s++)
            assert_true(t->files(t, *s) && t->files(t, *s)[0]);
    }
}

static void rows_of_metrics_are_sound(void **state)
{
    (void)state;
    for (const struct metric *const *list = metric_list(); *list; list++) {
        assert_true((*list)->summary && (*list)->version >= 1 && (*list)->compute);
        assert_ptr_equal(metric_find((*list)->name), *list);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_methods_are_sound),
        cmocka_unit_test(rows_of_tasks_are_sound),
        cmocka_unit_test(rows_of_metrics_are_sound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
