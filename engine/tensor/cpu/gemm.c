/*
 * Matrix products by oneDNN: the only file that knows it. dnnl_sgemm is the same in
 * oneDNN 2.x and 3.x. oneDNN may divide a product among OpenMP threads and then sums in
 * an order that depends on their number, so each thread that calls it is told to use one.
 */
#include <dnnl.h>

#include "../op.h"

/* From the OpenMP runtime that oneDNN was built with; absent in its sequential builds. */
extern void omp_set_num_threads(int n) __attribute__((weak));

static _Thread_local bool alone;

int gemm_f32(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const float *a,
             int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
    if (!alone && omp_set_num_threads)
        omp_set_num_threads(1);
    alone = true;
    return dnnl_sgemm(ta ? 'T' : 'N', tb ? 'T' : 'N', m, n, k, 1.0f, a, lda, b, ldb, beta,
                      c, ldc) == dnnl_success
               ? 0
               : -1;
}
