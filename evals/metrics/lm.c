/*
 * Metrics of language models. With the losses of all tokens that count, in nats:
 *
 *     perplexity      = exp(sum / tokens)
 *     word_perplexity = exp(sum / words)    words and bytes of the text that the counted
 *     byte_perplexity = exp(sum / bytes)    tokens spell
 *     bits_per_byte   = sum / bytes / ln 2
 *
 * Tokens that spell nothing (a beginning token between documents) are in all sums: what
 * it costs to tell where a text ends. Words are runs of what is no white space.
 *
 *     hf_perplexity   = exp(sum_w mean_w n_w / sum_w n_w)
 *
 * as the loop of Hugging Face's guide to perplexity prints it, mean_w being the mean loss
 * of window w and n_w its tokens beyond the overlap, less one. It differs from
 * perplexity where windows overlap, and is given for its windows alone.
 */
#include "labels.h"

#include <math.h>

static bool is_lm(const struct predictions *p)
{
    return p->tokens != NULL;
}

/* Of masked ones the words that were hidden are not counted. */
static bool is_causal_lm(const struct predictions *p)
{
    return is_lm(p) && p->data->causal;
}

static bool is_hf(const struct predictions *p)
{
    return is_causal_lm(p) && p->data->windows == LM_WINDOWS_INSIDE;
}

static const struct sequence *context(const struct predictions *p, int64_t i)
{
    return &p->data->seq[p->data->first[i]];
}

static double sum_of(const struct predictions *p)
{
    double sum = 0;

    for (int64_t i = 0; i < p->n; i++)
        if (p->tokens[i] > 0)
            sum += p->score[i] * (double)p->tokens[i];
    return sum;
}

/* sum / (number of x), or an error. */
static int per(double *out, const struct predictions *p, int64_t n, const char *what,
               struct err *err)
{
    if (!is_lm(p))
        return err_set(err, ERR_INPUT, "%s is no language model", p->data->task->name);
    if (n < 1)
        return err_set(err, ERR_INPUT, "there are no %s to divide by", what);
    *out = sum_of(p) / (double)n;
    return 0;
}

static int64_t total(const struct predictions *p, char what)
{
    int64_t n = 0;

    for (int64_t i = 0; is_lm(p) && i < p->n; i++)
        n += what == 't'   ? p->tokens[i]
             : what == 'w' ? context(p, i)->words
                           : context(p, i)->bytes;
    return n;
}

static int perplexity(double *out, const struct predictions *p, struct err *err)
{
    if (per(out, p, total(p, 't'), "tokens", err))
        return -1;
    *out = exp(*out);
    return 0;
}

static int word_perplexity(double *out, const struct predictions *p, struct err *err)
{
    if (per(out, p, total(p, 'w'), "words", err))
        return -1;
    *out = exp(*out);
    return 0;
}

static int byte_perplexity(double *out, const struct predictions *p, struct err *err)
{
    if (per(out, p, total(p, 'b'), "bytes", err))
        return -1;
    *out = exp(*out);
    return 0;
}

static int bits_per_byte(double *out, const struct predictions *p, struct err *err)
{
    if (per(out, p, total(p, 'b'), "bytes", err))
        return -1;
    *out /= log(2);
    return 0;
}

static int hf_perplexity(double *out, const struct predictions *p, struct err *err)
{
    double sum = 0, weights = 0;

    if (!is_hf(p))
        return err_set(err, ERR_INPUT, "hf_perplexity is for windows \"inside\"");
    for (int64_t i = 0; i < p->n; i++) {
        /* what the loop calls trg_len counts a first token too, which is not told */
        int64_t n = p->tokens[i] - (context(p, i)->score_from > 0);
        if (p->tokens[i] > 0)
            sum += p->score[i] * (double)n;
        weights += (double)n;
    }
    *out = exp(sum / weights);
    return 0;
}

#define LM_METRIC(name_, summary_, suits_)                                               \
    extern const struct metric metric_##name_;                                           \
    const struct metric metric_##name_ = {                                               \
        .name = #name_,                                                                  \
        .summary = summary_,                                                             \
        .high = (double)INFINITY,                                                        \
        .version = 1,                                                                    \
        .compute = name_,                                                                \
        .suits = suits_,                                                                 \
    }

LM_METRIC(perplexity, "exp of the mean loss of a token", is_lm);
LM_METRIC(word_perplexity, "exp of the loss over the number of words", is_causal_lm);
LM_METRIC(byte_perplexity, "exp of the loss over the number of bytes", is_causal_lm);
LM_METRIC(bits_per_byte, "loss in bits over the number of bytes", is_causal_lm);
LM_METRIC(hf_perplexity, "perplexity as the usual loop weighs overlapping windows",
          is_hf);
