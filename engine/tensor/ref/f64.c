/* The definition of every op in double: plain C, sums in double, libm. */
#include <math.h>
#include <string.h>

#include "../op.h"

#define REAL double
#define ACC double
#define LANES 1
#define EXP exp
#define CDF(x) (0.5 * erfc(-0.70710678118654752440 * (x)))
#define TANH tanh
#define FMA(a, b, c) ((a) * (b) + (c))
#define STEP(a, b, c) ((a) * (b) + (c))
#define FN(x) ref_f64_##x
#define SET kernels_ref_f64
#define SET_NAME "ref-f64"
#define SET_DTYPE DT_F64
#define SET_PACKERS NULL
#include "attention.inc.h"
#include "draw.inc.h"
#include "norm.inc.h"
#include "classes.inc.h"
#include "../kernels.inc.h"
