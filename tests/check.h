/* What all C tests include: cmocka, and a few checks of our own. */
#ifndef RETORT_TESTS_CHECK_H
#define RETORT_TESTS_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "retort/err.h"

/* A call that must succeed: its error's text is shown otherwise. */
#define assert_ok(call, err)                                                             \
    do {                                                                                 \
        int rc_ = (call);                                                                \
        if (rc_ < 0 || (err)->code != ERR_NONE)                                          \
            fail_msg("%s: %s", #call, (err)->text);                                      \
    } while (0)

/* A call that must fail with this code and a text that holds `part`. */
#define assert_fails(call, err, want, part)                                              \
    do {                                                                                 \
        int rc_ = (call);                                                                \
        if (rc_ != -1 || (err)->code != (want))                                          \
            fail_msg("%s: returned %d, code %d: %s", #call, rc_, (int)(err)->code,       \
                     (err)->text);                                                       \
        if (!strstr((err)->text, (part)))                                                \
            fail_msg("message \"%s\" lacks \"%s\"", (err)->text, (part));                \
        err_clear(err);                                                                  \
    } while (0)

/* Folder of real data and checkpoints ("../shared"), or NULL; then a test skips. */
static inline const char *shared_dir(void)
{
    return getenv("RETORT_SHARED");
}

#define skip_without_shared()                                                            \
    do {                                                                                 \
        if (!shared_dir()) {                                                             \
            print_message("real data is not here (RETORT_SHARED)\n");                    \
            skip();                                                                      \
        }                                                                                \
    } while (0)

/* ||a - b|| / ||b||, in double. */
static inline double relative_error(const float *a, const double *b, int64_t n)
{
    double d = 0, s = 0;
    for (int64_t i = 0; i < n; i++) {
        d += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        s += b[i] * b[i];
    }
    return s > 0 ? sqrt(d / s) : sqrt(d);
}

#endif
