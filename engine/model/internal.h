/* What the files of engine/model share. */
#ifndef RETORT_MODEL_INTERNAL_H
#define RETORT_MODEL_INTERNAL_H

#include "retort/model.h"

/* Shapes, names and zeroed values of everything that cfg and head ask for; heads_kept and
 * ffn_kept are honoured. */
int model_build(struct model **out, const struct hf_config *cfg, enum head_kind head,
                int64_t labels, bool pooler, struct err *err);

/* The layers' part: adds the head's parameters to a model without head. */
int model_add_head(struct model *m, enum head_kind head, int64_t labels, struct err *err);

bool head_has_pooler(enum head_kind head);
const char *head_architecture(enum head_kind head);

/* Draws one parameter as Devlin et al. do: N(0, range), LayerNorm 1 and 0, biases 0. */
void param_draw(struct param *p, uint64_t seed, double range);

#endif
