/* What the parts of a page share: page.c (the whole), page_figures.c (curves, maps,
 * overviews of a stage), page_runs.c (runs and pins). */
#ifndef RETORT_RUNNER_REPORT_PAGE_IMPL_H
#define RETORT_RUNNER_REPORT_PAGE_IMPL_H

#include "html.h"
#include "retort/json.h"
#include "retort/mem.h"
#include "retort/report.h"
#include "retort/spec.h"
#include "table_impl.h"

/* What is known of a job before its run is opened. */
struct page_job {
    struct run_info info; /* state RUN_ABSENT: never begun */
    bool sealed;
    int64_t pins; /* which set of pins, from 1; 0: none */
};

/* The assignment that the points of a job agree in, but for the seed. */
struct arm {
    const char *name; /* "importance, pruned.ratio 0.3"; "" if they agree in nothing */
    const char *label;
    int64_t n;
    const char **var, **value;
};

struct page_writer {
    const struct page *page;
    const struct plan *plan;
    struct store *store;
    struct arena *arena;
    struct strbuf *out;
    struct page_job *job; /* (plan->n) */
    struct pin_set {
        const char *text; /* JSON */
        int64_t runs;
    } * pins;
    int64_t n_pins, cap_pins;
    int64_t figures; /* ids given so far */
    struct err *err;
};

/* Arms of a stage, each once, in the order of the plan; NULL with err. */
struct arm *page_arms(struct page_writer *w, const char *stage, int64_t *n);
/* The arm of one job. */
int page_arm(struct page_writer *w, struct arm *out, const struct job *job);
/* A sealed job of the stage, or -1. */
int64_t page_sealed_job(const struct page_writer *w, const char *stage);

/* A picture of a filled table, with its caption; what cannot be shown is told. */
void page_picture(struct page_writer *w, const struct table *t, const char *about);
/* The overview, curves and maps of a stage. */
int page_figures(struct page_writer *w, const char *stage);
/* The stage's runs, one row each. */
int page_runs(struct page_writer *w, const char *stage);
/* Runs that are not there, with the reason. */
void page_missing(struct page_writer *w, int64_t missing);
/* Data, code and machines. */
int page_pins(struct page_writer *w);

#endif
