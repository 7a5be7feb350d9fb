/*
 * Where the time of a process goes, by operation.
 *
 * The thread that works calls profile_lap after each piece of work: the time since its
 * last call goes to that name. So nothing is counted twice, nothing is left out, and the
 * pool's threads need not be asked: they work while their caller waits. Without
 * profile_start all of it is one test of a flag. Not thread-safe: one thread laps.
 */
#ifndef RETORT_PROFILE_H
#define RETORT_PROFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "retort/err.h"

extern bool profile_on;

/* Forgets what was measured and begins. */
int profile_start(struct err *err);
/*
 * The time since the last lap (or the start) went to `name`, a string that stays; `back`:
 * to its backward pass. flops: of its products, as they were done; bytes: what it must
 * read and write at least, each operand once.
 */
void profile_lap_op(const char *name, bool back, double flops, double bytes);
static inline void profile_lap(const char *name)
{
    if (profile_on)
        profile_lap_op(name, false, 0, 0);
}
/*
 * Ends it and writes two files: BASE.txt, a table of the names by their time, and
 * BASE.trace.json, the laps one by one in the Trace Event Format (Perfetto and Chrome
 * open it; at most the first 200,000, the table says how many).
 */
int profile_finish(const char *base, const char *title, struct err *err);
/* Ends it; nothing is written. */
void profile_drop(void);

#endif
