/*
 * GLUE (Wang et al. 2018, arXiv:1804.07461): nine tasks and the diagnostic set AX, in the
 * official folders and columns, or as JSONL with the columns' usual names. Classes are
 * numbered as the public checkpoints number them. Test sets have no labels. MNLI matched
 * and mismatched share their training data. "A/..." is tried first, then "glue/A/...".
 */
#include "table.h"

#define FILES(dir, file)                                                                 \
    (const char *const[])                                                                \
    {                                                                                    \
        dir "/" file ".tsv", dir "/" file ".jsonl", "glue/" dir "/" file ".tsv",         \
            "glue/" dir "/" file ".jsonl", NULL                                          \
    }
#define NAMES(...)                                                                       \
    (const char *const[])                                                                \
    {                                                                                    \
        __VA_ARGS__, NULL                                                                \
    }
#define METRICS(...)                                                                     \
    (const struct metric *const[])                                                       \
    {                                                                                    \
        __VA_ARGS__, NULL                                                                \
    }

#define ID "index|idx|id|pairID"

extern const struct metric metric_accuracy, metric_f1, metric_matthews, metric_pearson,
    metric_spearman;

#define SPLIT(split, dir, file, a_, b_, label_, head)                                    \
    {                                                                                    \
        .name = split, .files = FILES(dir, file),                                        \
        .columns = {.a = a_, .b = b_, .label = label_, .id = ID, .header = head},        \
    }
/* Train and dev with one header, test without labels. */
#define THREE(dir, a, b, label)                                                          \
    SPLIT("train", dir, "train", a, b, label, true),                                     \
        SPLIT("dev", dir, "dev", a, b, label, true),                                     \
        SPLIT("test", dir, "test", a, b, NULL, true)
#define TABLE(id, ...)                                                                   \
    static const struct table_split id##_splits[] = {__VA_ARGS__};                       \
    static const struct table id##_table = {                                             \
        .splits = id##_splits,                                                           \
        .n = sizeof id##_splits / sizeof *id##_splits,                                   \
    }
#define GLUE(id, name_, summary_, kind_, n, label_names_, metrics_, splits_, file)       \
    const struct task task_glue_##id = {                                                 \
        .name = "glue/" name_,                                                           \
        .summary = summary_,                                                             \
        .kind = kind_,                                                                   \
        .labels = n,                                                                     \
        .label_names = label_names_,                                                     \
        .metrics = metrics_,                                                             \
        .splits = splits_,                                                               \
        .version = 1,                                                                    \
        .max_len = 128,                                                                  \
        .files = table_files,                                                            \
        .load = textfile_load,                                                           \
        .submission = file,                                                              \
        .config = &id##_table,                                                           \
    }

#define TRAIN_DEV_TEST NAMES("train", "dev", "test")
#define ENTAILMENT NAMES("entailment", "not_entailment")
#define NLI NAMES("entailment", "neutral", "contradiction")
#define PREMISE "sentence1|premise|Premise"
#define HYPOTHESIS "sentence2|hypothesis|Hypothesis"

/* CoLA: source, label, the author's mark, sentence; no header but in the test set. */
#define COLA(split)                                                                      \
    {                                                                                    \
        .name = split, .files = FILES("CoLA", split),                                    \
        .columns = {                                                                     \
            .a = "sentence|4", .label = "label|2", .id = "idx", .header = false},        \
    }
TABLE(cola, COLA("train"), COLA("dev"),
      SPLIT("test", "CoLA", "test", "sentence", NULL, NULL, true));
TABLE(sst2, THREE("SST-2", "sentence", NULL, "label"));
TABLE(mrpc, THREE("MRPC", "#1 String|sentence1", "#2 String|sentence2", "Quality|label"));
/* The distributed QQP has a few rows that were broken in two; they are left out, as the
 * reference readers do. */
#define QQP(split, label_)                                                               \
    {                                                                                    \
        .name = split, .files = FILES("QQP", split), .skip_broken = true,                \
        .columns = {.a = "question1",                                                    \
                    .b = "question2",                                                    \
                    .label = label_,                                                     \
                    .id = ID,                                                            \
                    .header = true},                                                     \
    }
TABLE(qqp, QQP("train", "is_duplicate|label"), QQP("dev", "is_duplicate|label"),
      QQP("test", NULL));
TABLE(stsb, THREE("STS-B", "sentence1", "sentence2", "score|label"));
TABLE(mnli,
      SPLIT("train", "MNLI", "train", PREMISE, HYPOTHESIS, "gold_label|label", true),
      SPLIT("dev", "MNLI", "dev_matched", PREMISE, HYPOTHESIS, "gold_label|label", true),
      SPLIT("test", "MNLI", "test_matched", PREMISE, HYPOTHESIS, NULL, true));
TABLE(mnli_mm,
      SPLIT("train", "MNLI", "train", PREMISE, HYPOTHESIS, "gold_label|label", true),
      SPLIT("dev", "MNLI", "dev_mismatched", PREMISE, HYPOTHESIS, "gold_label|label",
            true),
      SPLIT("test", "MNLI", "test_mismatched", PREMISE, HYPOTHESIS, NULL, true));
TABLE(qnli, THREE("QNLI", "question", "sentence", "label"));
TABLE(rte, THREE("RTE", PREMISE, HYPOTHESIS, "label"));
TABLE(wnli, THREE("WNLI", "sentence1", "sentence2", "label"));
/* AX.tsv has no labels; diagnostic-full.tsv, published apart, has them: split "dev". */
TABLE(ax,
      {.name = "dev",
       .files = NAMES("AX/diagnostic-full.tsv", "diagnostic/diagnostic-full.tsv",
                      "AX/dev.jsonl", "glue/AX/diagnostic-full.tsv"),
       .columns = {.a = PREMISE,
                   .b = HYPOTHESIS,
                   .label = "Label|label",
                   .id = ID,
                   .header = true}},
      {.name = "test",
       .files = NAMES("AX/AX.tsv", "AX/test.tsv", "AX/test.jsonl",
                      "diagnostic/diagnostic.tsv", "glue/AX/AX.tsv"),
       .columns = {.a = PREMISE, .b = HYPOTHESIS, .id = ID, .header = true}});

#define ACCURACY METRICS(&metric_accuracy)

GLUE(cola, "cola", "is the sentence acceptable English", TASK_CLASSES, 2,
     NAMES("unacceptable", "acceptable"), METRICS(&metric_matthews, &metric_accuracy),
     TRAIN_DEV_TEST, "CoLA.tsv");
GLUE(sst2, "sst2", "is the review's sentence positive", TASK_CLASSES, 2,
     NAMES("negative", "positive"), ACCURACY, TRAIN_DEV_TEST, "SST-2.tsv");
GLUE(mrpc, "mrpc", "do two sentences of the news say the same", TASK_CLASSES, 2,
     NAMES("not_equivalent", "equivalent"), METRICS(&metric_f1, &metric_accuracy),
     TRAIN_DEV_TEST, "MRPC.tsv");
GLUE(qqp, "qqp", "do two questions ask the same", TASK_CLASSES, 2,
     NAMES("not_duplicate", "duplicate"), METRICS(&metric_f1, &metric_accuracy),
     TRAIN_DEV_TEST, "QQP.tsv");
GLUE(stsb, "stsb", "how similar are two sentences, 0 to 5", TASK_REGRESSION, 1, NULL,
     METRICS(&metric_pearson, &metric_spearman), TRAIN_DEV_TEST, "STS-B.tsv");
GLUE(mnli, "mnli", "does the premise entail the hypothesis (matched genres)",
     TASK_CLASSES, 3, NLI, ACCURACY, TRAIN_DEV_TEST, "MNLI-m.tsv");
GLUE(mnli_mm, "mnli-mm", "does the premise entail the hypothesis (mismatched genres)",
     TASK_CLASSES, 3, NLI, ACCURACY, TRAIN_DEV_TEST, "MNLI-mm.tsv");
GLUE(qnli, "qnli", "does the sentence answer the question", TASK_CLASSES, 2, ENTAILMENT,
     ACCURACY, TRAIN_DEV_TEST, "QNLI.tsv");
GLUE(rte, "rte", "does the premise entail the hypothesis", TASK_CLASSES, 2, ENTAILMENT,
     ACCURACY, TRAIN_DEV_TEST, "RTE.tsv");
GLUE(wnli, "wnli", "is the pronoun rightly resolved", TASK_CLASSES, 2,
     NAMES("not_entailment", "entailment"), ACCURACY, TRAIN_DEV_TEST, "WNLI.tsv");
GLUE(ax, "ax", "diagnostic sentence pairs for a model of MNLI", TASK_CLASSES, 3, NLI,
     METRICS(&metric_matthews, &metric_accuracy), NAMES("dev", "test"), "AX.tsv");
