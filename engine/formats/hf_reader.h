/* What the readers of config.json share; private to engine/formats. */
#ifndef RETORT_HF_READER_H
#define RETORT_HF_READER_H

#include "retort/hf.h"
#include "retort/json.h"

struct reader {
    struct hf_config *cfg;
    const struct json_doc *doc;
    const struct json *root;
    struct arena *arena;
    struct diags *diags;
};

/* A member, or NULL if it is absent or null. */
const struct json *hf_member(const struct reader *r, const char *key);
/* `absent` is the value without the member; HF_NEEDED: it must be there. Out of range is
 * an error. */
#define HF_NEEDED INT64_MIN
int64_t hf_read_int(struct reader *r, const char *key, int64_t absent, int64_t low,
                    int64_t high);
double hf_read_real(struct reader *r, const char *key, double absent, double low,
                    double high);
/* Probability: below 1, since what is left is divided by 1 - p. */
double hf_read_prob(struct reader *r, const char *key, double absent);
bool hf_read_bool(struct reader *r, const char *key, bool absent);
/* The member, if it is there, must be this text, or this truth value. */
void hf_only_text(struct reader *r, const char *key, const char *wanted);
void hf_only_bool(struct reader *r, const char *key, bool wanted);
/* One of `names` (NULL-terminated); `absent` if it is not there. Returns its place. */
int hf_read_name(struct reader *r, const char *key, const char *absent,
                 const char *const *names);
/* After sizes are known: all heads and neurons are there. */
void hf_keep_all(struct hf_config *cfg);
/* "architectures", "id2label", "num_labels", "problem_type". */
void hf_read_head(struct reader *r);
/* "retort_ffn": neurons that each layer kept. */
void hf_read_ffn_kept(struct reader *r);

/* GPT-2, GPT-Neo, LLaMA: cfg->arch is set. */
void hf_read_decoder(struct reader *r);
void hf_write_decoder(struct json_writer *w, const struct hf_config *cfg);

void hf_put_int(struct json_writer *w, const char *key, int64_t x);
void hf_put_real(struct json_writer *w, const char *key, double x);
void hf_put_text(struct json_writer *w, const char *key, const char *text);
void hf_put_flag(struct json_writer *w, const char *key, bool x);
void hf_put_ffn_kept(struct json_writer *w,
                     const struct hf_config *cfg); /* if some were removed */

#endif
