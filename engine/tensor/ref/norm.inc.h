/* Layer normalisation of rows of v = x + dropout(a): the definition. */

static void FN(norm)(const struct norm_task *t)
{
    for (int64_t r = 0; r < t->rows; r++) {
        const REAL *x = (const REAL *)t->x + r * t->c, *a = t->a;
        REAL *y = (REAL *)t->y + r * t->c, *v = y;
        ACC sum = 0, square = 0;
        if (a)
            v = (REAL *)t->sum + r * t->c;
        for (int64_t i = 0; i < t->c; i++) {
            REAL w = a ? a[r * t->c + i] : 0;
            if (t->bits)
                w = t->bits[r * t->words + i / 16] >> (i % 16) & 1 ? w * (REAL)t->factor
                                                                   : 0;
            v[i] = a ? x[i] + w : x[i];
            sum += (ACC)v[i];
        }
        ACC m = sum / (ACC)t->c;
        for (int64_t i = 0; i < t->c; i++)
            square += ((ACC)v[i] - m) * ((ACC)v[i] - m);
        t->mean[r] = (double)m;
        t->rstd[r] = 1 / sqrt((double)(square / (ACC)t->c) + t->eps);
        for (int64_t i = 0; i < t->c; i++)
            y[i] = (REAL)(((ACC)v[i] - m) * (ACC)t->rstd[r] *
                              (ACC)((const REAL *)t->gamma)[i] +
                          (ACC)((const REAL *)t->beta)[i]);
    }
}

/* dv = rstd (g - mean(g) - h mean(g h)), g = dy gamma, h the normalised row */
static void FN(norm_back)(const struct norm_task *t)
{
    const REAL *gamma = t->gamma;
    REAL *dgamma = t->dgamma, *dbeta = t->dbeta;
    memset(dgamma, 0, (size_t)t->c * sizeof *dgamma);
    memset(dbeta, 0, (size_t)t->c * sizeof *dbeta);
    for (int64_t r = 0; r < t->rows; r++) {
        const REAL *v = (const REAL *)t->x + r * t->c,
                   *dy = (const REAL *)t->dy + r * t->c;
        ACC m = (ACC)t->mean[r], s = (ACC)t->rstd[r], a = 0, b = 0;
        for (int64_t i = 0; i < t->c; i++) {
            ACC h = ((ACC)v[i] - m) * s, g = (ACC)dy[i] * (ACC)gamma[i];
            a += g / (ACC)t->c;
            b += g * h / (ACC)t->c;
            dgamma[i] += (REAL)((ACC)dy[i] * h);
            dbeta[i] += dy[i];
        }
        for (int64_t i = 0; i < t->c; i++) {
            ACC h = ((ACC)v[i] - m) * s, g = (ACC)dy[i] * (ACC)gamma[i];
            REAL d = (REAL)(s * (g - a - h * b)), *dx = t->dx, *da = t->da;
            if (dx)
                dx[r * t->c + i] = t->fresh_x ? d : dx[r * t->c + i] + d;
            if (t->bits)
                d = t->bits[r * t->words + i / 16] >> (i % 16) & 1 ? d * (REAL)t->factor
                                                                   : 0;
            if (da)
                da[r * t->c + i] = t->fresh_a ? d : da[r * t->c + i] + d;
        }
    }
}
