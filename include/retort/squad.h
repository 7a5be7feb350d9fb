/*
 * SQuAD's files and its official scores (Rajpurkar et al. 2016, 2018).
 *
 * Two rules, as the scripts evaluate-v1.1.py and evaluate-v2.0.py have them. In both, an
 * answer is compared after lower-casing, without ASCII punctuation, without the words a,
 * an, the, split at blanks; the best of the right answers counts. Letters, cases and
 * blanks are Unicode's, as Python 3.11 knows them.
 *
 *     exact   the same words
 *     F1      2 P R / (P + R), P and R the shares of common words, counted with their
 *             number; 0 if there is no common word
 *
 * Version 2 leaves out right answers of which nothing is left after that, and takes ""
 * as the right one where no other is; of two answers one of which has no words, F1 is 1
 * if both have none and else 0 (in version 1 it is 0 in both cases).
 */
#ifndef RETORT_SQUAD_H
#define RETORT_SQUAD_H

#include "retort/task.h"

enum squad_rules { SQUAD_AUTO, SQUAD_V1, SQUAD_V2 };

/* Reads a file of SQuAD's form. Version 2 is what has unanswerable questions; *rules
 * SQUAD_AUTO becomes the one that the file says it is of ("version", "is_impossible").
 * Under version 1 a question without an answer is refused. An error names file, line and
 * column. */
int squad_read(const char *path, enum squad_rules *rules, struct examples *out,
               struct err *err);

struct squad_score {
    double exact, f1; /* 0 to 1 */
};
/* What an answer is worth. */
int squad_compare(struct squad_score *out, const struct example *ex, const char *said,
                  enum squad_rules rules, struct err *err);

struct squad_sum {
    int64_t n;
    double exact, f1; /* sums over n questions, in their order */
};
/* A threshold t: an answer whose null odds are above t is taken back, "" is said. */
struct squad_best {
    double sum, threshold;
};
struct squad_scores {
    struct squad_sum all, answerable, unanswerable;
    struct squad_best exact, f1; /* of the best thresholds; null odds given */
};

/* What was said of each example: an answer, "" for none, NULL where nothing was said
 * (worth nothing). */
struct squad_said {
    const char *const *text;
    const double *null_odds; /* larger: rather no answer; NULL: not known */
    const int64_t *order;    /* ties of the odds: lower goes first; NULL: as they come */
    double threshold; /* applied to `all` and its parts, not to the search; infinite:
                       * none */
};
int squad_score_all(struct squad_scores *out, const struct examples *ex,
                    const struct squad_said *said, enum squad_rules rules,
                    struct err *err);

#endif
