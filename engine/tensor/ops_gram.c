/*
 * Products of columns: what the weight gradient of a linear map computes, of x and x.
 */
#include "ops_shared.h"

struct tensor *gram(struct tape *tape, const struct tensor *x)
{
    if (tape_bad(tape) || !x)
        return NULL;
    if (x->shape.rank != 2)
        return op_bad_shapes(tape, "gram", x, NULL, "wants (N, C)");
    int64_t n = x->shape.dim[0], c = x->shape.dim[1];
    struct tensor *y = tape_tensor(tape, tape_real(tape), SHAPE(c, c));
    struct linear l = {.x = x->data, .dy = x->data, .n = n, .i = c, .o = c};
    op_use(tape, OP_GRAM);
    if (y)
        linear_dw(tape, &l, y->data, true, NULL);
    return y;
}
