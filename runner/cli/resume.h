/* retort verify --resume: see resume.c. */
#ifndef RETORT_RESUME_H
#define RETORT_RESUME_H

#include <stdint.h>

#include "retort/err.h"

struct resume_options {
    const char *spec;
    int64_t times, threads, jobs;
};

/* ERR_NEGATIVE if a sweep that was killed and run again came out differently. */
int verify_resume(const struct resume_options *opt, struct err *err);

#endif
