/* What the pictures (plot.c, plot_map.c) share. */
#ifndef RETORT_RUNNER_REPORT_PLOT_IMPL_H
#define RETORT_RUNNER_REPORT_PLOT_IMPL_H

#include "retort/report.h"

/* The shape, dash and colour of a series: its style, else its place. Colours are the
 * theme's; see plot.c. */
int plot_style(const struct plot_series *s, int64_t place);
#define PLOT_STYLES 7

/* Lowest and highest value of a map; false if there is none. */
bool plot_map_range(const struct plot_map *map, double *low, double *high);

/* A gnuplot string: single quotes doubled, control characters left out. */
void plot_quoted(struct strbuf *out, const char *s);
/* "set xtics (...)" of names at 0, 1, 2 ... */
void plot_tics(struct strbuf *out, const char *axis, const char *const *name, int64_t n);
/* The beginning of a script: data's name, title, labels. */
void plot_head(struct strbuf *out, const char *name, const char *title,
               const char *x_label, const char *y_label, enum plot_theme theme);
/* The end of a script: what `put` writes, for each kind of file; the variable `text`
 * holds its size of letters. */
void plot_outputs(struct strbuf *out, const char *name, enum plot_theme theme,
                  void (*put)(struct strbuf *out, const void *what,
                              enum plot_theme theme),
                  const void *what);
/* Writes BASE.dat and BASE.gp and runs gnuplot on them. */
int plot_finish(const char *base, const struct strbuf *data, const struct strbuf *script,
                struct err *err);

#endif
