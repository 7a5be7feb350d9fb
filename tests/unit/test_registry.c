/* The tables of the methods. */
#include "check.h"

#include "retort/method.h"

static void no_method_has_two_keys_of_one_name(void **state)
{
    (void)state;
    for (const struct method *const *m = method_list(); *m; m++)
        for (const struct option *o = (*m)->options; o && o->name; o++) {
            for (const struct option *p = o + 1; p->name; p++)
                if (!strcmp(o->name, p->name))
                    fail_msg("%s has two options \"%s\"", (*m)->name, o->name);
            for (const struct input *in = (*m)->inputs; in && in->name; in++)
                if (!strcmp(o->name, in->name))
                    fail_msg("%s: \"%s\" is option and input", (*m)->name, o->name);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_method_has_two_keys_of_one_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
