/*
 * Rows of decoders' operations, over REAL and ACC as in kernels.inc.h, which includes
 * this.
 */

/* y = x rstd gamma; back: dx += rstd (g - h mean(g h)), g = dy gamma, h = x rstd. */
static void FN(rms_row)(const struct rows_run *run, int64_t r)
{
    const REAL *restrict x = IN(run->x) + r * run->c;
    const REAL *restrict gamma = run->gamma;
    REAL *restrict to = OUT(run->to) + r * run->c;
    int64_t c = run->c;

    if (!run->back) {
        double mean = (double)FN(dot)(x, x, c) / (double)c;
        run->rstd[r] = 1 / sqrt(mean + run->eps);
        ACC f = (ACC)run->rstd[r];
        for (int64_t i = 0; i < c; i++)
            to[i] = (REAL)((ACC)x[i] * f * (ACC)gamma[i]);
        return;
    }
    const REAL *restrict dy = IN(run->dy) + r * c;
    ACC lane[LANES] = {0}, f = (ACC)run->rstd[r];
    for (int64_t i = 0; i < c; i++)
        lane[i % LANES] += (ACC)dy[i] * (ACC)gamma[i] * (ACC)x[i];
    ACC along = FN(fold)(lane) * f * f * f / (ACC)c;
    for (int64_t i = 0; i < c; i++)
        to[i] += (REAL)(f * (ACC)dy[i] * (ACC)gamma[i] - along * (ACC)x[i]);
}

/* The normalised row itself. */
static void FN(scale_row)(const struct rows_run *run, int64_t r)
{
    const REAL *restrict x = IN(run->x) + r * run->c;
    REAL *restrict to = OUT(run->to) + r * run->c;

    for (int64_t i = 0; i < run->c; i++)
        to[i] = (REAL)((ACC)x[i] * (ACC)run->rstd[r]);
}

/* Pairs (i, i + D/2) turned by their angle; back: the other way, since a turn's transpose
 * is the turn back. */
static void FN(rotary_row)(const struct rows_run *run, int64_t r)
{
    int64_t half = run->head_dim / 2;
    const double *turn = run->turn + run->position[r] * run->head_dim;
    const REAL *x = IN(run->back ? run->dy : run->x) + r * run->c;
    REAL *y = OUT(run->to) + r * run->c;
    ACC sign = run->back ? -1 : 1;

    for (int64_t h = 0; h < run->c; h += run->head_dim)
        for (int64_t i = 0; i < half; i++) {
            ACC c = (ACC)turn[i], s = sign * (ACC)turn[half + i];
            ACC a = (ACC)x[h + i], b = (ACC)x[h + half + i];
            REAL u = (REAL)(a * c - b * s), v = (REAL)(b * c + a * s);
            y[h + i] = run->back ? y[h + i] + u : u;
            y[h + half + i] = run->back ? y[h + half + i] + v : v;
        }
}

/* Each head `times` times over; back: summed in that order. */
static void FN(repeat_row)(const struct rows_run *run, int64_t r)
{
    int64_t d = run->head_dim, wide = run->c * run->times;
    const REAL *x = run->back ? IN(run->dy) + r * wide : IN(run->x) + r * run->c;
    REAL *to = run->back ? OUT(run->to) + r * run->c : OUT(run->to) + r * wide;

    for (int64_t h = 0; h < run->c / d; h++)
        for (int64_t t = 0; t < run->times; t++)
            for (int64_t i = 0; i < d; i++)
                if (run->back)
                    to[h * d + i] += x[(h * run->times + t) * d + i];
                else
                    to[(h * run->times + t) * d + i] = x[h * d + i];
}
