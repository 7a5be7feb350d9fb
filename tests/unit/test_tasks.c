/* Tasks: GLUE's files, tables of one's own, generated tasks. */
#include "check.h"

#include "retort/file.h"
#include "retort/task.h"

static char dir[] = "/tmp/retort-tasks-XXXXXX";

static void put_file(const char *name, const char *text)
{
    struct err err = ERR_INIT;
    char *path = path_join(dir, name, &err), *folder = path_dir(path, &err);
    assert_ok(file_mkdirs(folder, &err), &err);
    assert_ok(file_write(path, text, (int64_t)strlen(text), &err), &err);
    free(folder);
    free(path);
}

static struct examples *load(const struct task *task, const char *split, int *rc,
                             struct err *err)
{
    struct examples *ex = examples_new(err);
    struct task_source src = {dir, split};
    assert_non_null(ex);
    *rc = task->load(task, &src, ex, err);
    return ex;
}

/* Writes the file, reads the split, and compares one example. */
static void expect(const char *name, const char *split, const char *file,
                   const char *text, int64_t n, int64_t at, const char *a, const char *b,
                   int label)
{
    struct err err = ERR_INIT;
    int rc;
    struct examples *ex;
    put_file(file, text);
    ex = load(task_find(name), split, &rc, &err);
    assert_ok(rc, &err);
    assert_int_equal(ex->n, n);
    assert_string_equal(ex->v[at].a, a);
    assert_int_equal(!!ex->v[at].b, !!b);
    if (b)
        assert_string_equal(ex->v[at].b, b);
    assert_int_equal(ex->v[at].label, label);
    examples_free(ex);
}

static void refuse(const char *name, const char *split, const char *file,
                   const char *text, const char *part)
{
    struct err err = ERR_INIT;
    int rc;
    struct examples *ex;
    put_file(file, text);
    ex = load(task_find(name), split, &rc, &err);
    assert_fails(rc, &err, ERR_INPUT, part);
    examples_free(ex);
}

static void official_layouts_are_read(void **state)
{
    (void)state;
    expect("glue/cola", "dev", "CoLA/dev.tsv",
           "gj04\t1\t\tShe left.\nc\t0\t*\tShe leave.", 2, 1, "She leave.", NULL, 0);
    expect("glue/cola", "test", "CoLA/test.tsv", "index\tsentence\n0\tShe left.\n", 1, 0,
           "She left.", NULL, -1);
    expect("glue/sst2", "train", "SST-2/train.tsv", "sentence\tlabel\nfine \t1\n", 1, 0,
           "fine ", NULL, 1);
    expect("glue/mrpc", "train", "MRPC/train.tsv",
           "\xef\xbb\xbfQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n1\t7\t8\t\"A\" "
           "b\tc \"d\r\n",
           1, 0, "\"A\" b", "c \"d", 1);
    expect(
        "glue/mnli", "train", "MNLI/train.tsv",
        "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\t"
        "sentence1_parse\tsentence2_parse\tsentence1\tsentence2\tlabel1\tgold_label\n"
        "0\t3\t3n\tfiction\t(\t(\t(\t(\tA.\tB.\tneutral\tcontradiction\n",
        1, 0, "A.", "B.", 2);
    expect("glue/ax", "test", "AX/AX.tsv", "index\tsentence1\tsentence2\n0\tA\tB\n", 1, 0,
           "A", "B", -1);
    expect("glue/qnli", "dev", "QNLI/dev.tsv",
           "index\tquestion\tsentence\tlabel\n0\tWho?\tHe.\tnot_entailment\n", 1, 0,
           "Who?", "He.", 1);
    expect("glue/wnli", "dev", "WNLI/dev.tsv",
           "index\tsentence1\tsentence2\tlabel\n0\tA\tB\t1", 1, 0, "A", "B", 1);
    expect("glue/rte", "dev", "RTE/dev.jsonl",
           "{\"sentence1\": \"A\\u00e9\", \"sentence2\": \"B\", \"label\": 1}\n", 1, 0,
           "A\xc3\xa9", "B", 1);
}

/* The header lines of the files as they are distributed, one row, what is read from it.
 */
static const struct {
    const char *task, *split, *file, *head, *row, *a, *b;
    int label;
} layouts[] = {
    {"glue/sst2", "test", "SST-2/test.tsv", "index\tsentence", "0\tfine", "fine", NULL,
     -1},
    {"glue/mrpc", "test", "MRPC/test.tsv", "index\t#1 ID\t#2 ID\t#1 String\t#2 String",
     "0\t7\t8\tA.\tB.", "A.", "B.", -1},
    {"glue/qqp", "dev", "QQP/dev.tsv",
     "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate", "1\t2\t3\tA?\tB?\t0", "A?",
     "B?", 0},
    {"glue/qqp", "test", "QQP/test.tsv", "id\tquestion1\tquestion2", "0\tA?\tB?", "A?",
     "B?", -1},
    {"glue/stsb", "train", "STS-B/train.tsv",
     "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\t"
     "score",
     "0\tg\tf\t2012\t1\ts\ts\tA.\tB.\t5.000", "A.", "B.", -1},
    {"glue/stsb", "test", "STS-B/test.tsv",
     "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2",
     "0\tg\tf\t2012\t1\ts\ts\tA.\tB.", "A.", "B.", -1},
    {"glue/mnli", "dev", "MNLI/dev_matched.tsv",
     "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\t"
     "sentence1_parse\tsentence2_parse\tsentence1\tsentence2\tlabel1\tlabel2\tlabel3\t"
     "label4\tlabel5\tgold_label",
     "0\t1\t1e\tg\t(\t(\t(\t(\tA.\tB.\tneutral\tneutral\tneutral\tneutral\tneutral\t"
     "entailment",
     "A.", "B.", 0},
    {"glue/mnli-mm", "dev", "MNLI/dev_mismatched.tsv",
     "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\t"
     "sentence1_parse\tsentence2_parse\tsentence1\tsentence2\tlabel1\tlabel2\tlabel3\t"
     "label4\tlabel5\tgold_label",
     "0\t1\t1e\tg\t(\t(\t(\t(\tA.\tB.\tneutral\tneutral\tneutral\tneutral\tneutral\t"
     "neutral",
     "A.", "B.", 1},
    {"glue/mnli", "test", "MNLI/test_matched.tsv",
     "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\t"
     "sentence1_parse\tsentence2_parse\tsentence1\tsentence2",
     "0\t1\t1e\tg\t(\t(\t(\t(\tA.\tB.", "A.", "B.", -1},
    {"glue/mnli-mm", "test", "MNLI/test_mismatched.tsv",
     "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\t"
     "sentence1_parse\tsentence2_parse\tsentence1\tsentence2",
     "0\t1\t1e\tg\t(\t(\t(\t(\tA.\tB.", "A.", "B.", -1},
    {"glue/qnli", "train", "QNLI/train.tsv", "index\tquestion\tsentence\tlabel",
     "0\tWho?\tHe.\tentailment", "Who?", "He.", 0},
    {"glue/qnli", "test", "QNLI/test.tsv", "index\tquestion\tsentence", "0\tWho?\tHe.",
     "Who?", "He.", -1},
    {"glue/rte", "train", "RTE/train.tsv", "index\tsentence1\tsentence2\tlabel",
     "0\tA.\tB.\tnot_entailment", "A.", "B.", 1},
    {"glue/rte", "test", "RTE/test.tsv", "index\tsentence1\tsentence2", "0\tA.\tB.", "A.",
     "B.", -1},
    {"glue/wnli", "test", "WNLI/test.tsv", "index\tsentence1\tsentence2", "0\tA.\tB.",
     "A.", "B.", -1},
    {"glue/ax", "dev", "AX/diagnostic-full.tsv",
     "Lexical Semantics\tPredicate-Argument "
     "Structure\tLogic\tKnowledge\tDomain\tPremise\t"
     "Hypothesis\tLabel",
     "\t\tNegation\t\tArtificial\tA.\tB.\tcontradiction", "A.", "B.", 2},
};

static void remove_file(const char *name)
{
    struct err err = ERR_INIT;
    char *path = path_join(dir, name, &err);

    assert_ok(file_remove(path, &err), &err);
    free(path);
}

static void every_official_header_is_known(void **state)
{
    char text[1024];

    (void)state;
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        snprintf(text, sizeof text, "%s\n%s\n", layouts[i].head, layouts[i].row);
        expect(layouts[i].task, layouts[i].split, layouts[i].file, text, 1, 0,
               layouts[i].a, layouts[i].b, layouts[i].label);
        remove_file(layouts[i].file);
    }
}

/* The same data with one object a line; answers as numbers, as they are often published.
 */
static void every_task_is_read_from_jsonl(void **state)
{
    static const struct {
        const char *task, *split, *file, *row, *a, *b;
        int label;
    } rows[] = {
        {"glue/cola", "dev", "CoLA/dev.jsonl",
         "{\"sentence\":\"A\",\"label\":1,\"idx\":0}", "A", NULL, 1},
        {"glue/sst2", "train", "SST-2/train.jsonl",
         "{\"sentence\":\"A\",\"label\":\"negative\"}", "A", NULL, 0},
        {"glue/mrpc", "dev", "MRPC/dev.jsonl",
         "{\"sentence1\":\"A\",\"sentence2\":\"B\",\"label\":1}", "A", "B", 1},
        {"glue/qqp", "train", "QQP/train.jsonl",
         "{\"question1\":\"A\",\"question2\":\"B\",\"label\":0}", "A", "B", 0},
        {"glue/stsb", "dev", "STS-B/dev.jsonl",
         "{\"sentence1\":\"A\",\"sentence2\":\"B\",\"label\":2.5}", "A", "B", -1},
        {"glue/mnli", "train", "MNLI/train.jsonl",
         "{\"premise\":\"A\",\"hypothesis\":\"B\",\"label\":2}", "A", "B", 2},
        {"glue/qnli", "train", "QNLI/train.jsonl",
         "{\"question\":\"A\",\"sentence\":\"B\",\"label\":1}", "A", "B", 1},
        {"glue/wnli", "dev", "WNLI/dev.jsonl",
         "{\"sentence1\":\"A\",\"sentence2\":\"B\",\"label\":1}", "A", "B", 1},
        {"glue/ax", "test", "AX/test.jsonl",
         "{\"premise\":\"A\",\"hypothesis\":\"B\",\"label\":-1,\"idx\":0}", "A", "B", -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char tsv[64];
        snprintf(tsv, sizeof tsv, "%.*stsv", (int)strlen(rows[i].file) - 5, rows[i].file);
        remove_file(tsv); /* would be read first */
        expect(rows[i].task, rows[i].split, rows[i].file, rows[i].row, 1, 0, rows[i].a,
               rows[i].b, rows[i].label);
        remove_file(rows[i].file);
    }
}

static void broken_rows_of_qqp_are_left_out_and_counted(void **state)
{
    struct err err = ERR_INIT;
    int rc;

    (void)state;
    put_file(
        "QQP/train.tsv",
        "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n1\t2\t3\tHow\n4\t5\t6\tA?"
        "\tB?\t1\n7\n");
    struct examples *ex = load(task_find("glue/qqp"), "train", &rc, &err);
    assert_ok(rc, &err);
    assert_int_equal(ex->n, 1);
    assert_string_equal(ex->v[0].a, "A?");
    assert_int_equal(ex->left_out, 2);
    assert_int_equal(ex->first_left_out, 2);
    examples_free(ex);
}

static void slices_are_read_strictly(void **state)
{
    static const char *const wrong[] = {"",
                                        "[0:1]",
                                        "train[",
                                        "train[0:1",
                                        "train[2:1]",
                                        "train[1:1]",
                                        "train[a:b]",
                                        "train[1]",
                                        "train[-1:]",
                                        "train[0:1]x",
                                        "train[0:99999999999999999999]"};
    struct err err = ERR_INIT;
    struct split s;

    (void)state;
    assert_ok(split_parse(&s, "dev", &err), &err);
    assert_false(s.slice);
    assert_string_equal(s.name, "dev");
    assert_ok(split_parse(&s, "train[10:25]", &err), &err);
    assert_true(s.slice && s.from == 10 && s.to == 25);
    assert_ok(split_parse(&s, "train[:25]", &err), &err);
    assert_true(s.slice && s.from == 0 && s.to == 25);
    assert_ok(split_parse(&s, "train[10:]", &err), &err);
    assert_true(s.slice && s.from == 10 && s.to == INT64_MAX);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        err_clear(&err);
        if (!split_parse(&s, wrong[i], &err))
            fail_msg("\"%s\" was read", wrong[i]);
        assert_int_equal(err.code, ERR_INPUT);
    }
}

static void errors_name_file_line_and_field(void **state)
{
    const char *head = "index\tsentence1\tsentence2\tlabel\n";
    char text[200];
    (void)state;
    snprintf(text, sizeof text, "%s0\tA\tB\t1\n1\tA\tB\t2\n", head);
    refuse("glue/wnli", "train", "WNLI/train.tsv", text,
           "WNLI/train.tsv:3:4: label is \"2\"");
    snprintf(text, sizeof text, "%s0\tA\tB\n", head);
    refuse("glue/wnli", "train", "WNLI/train.tsv", text,
           "train.tsv:2:3: the row has 3 fields; 4");
    refuse("glue/wnli", "train", "WNLI/train.tsv", head, "no examples");
    refuse("glue/wnli", "train", "WNLI/train.tsv", "", "no examples");
    refuse("glue/wnli", "train", "WNLI/train.tsv", "index\tx\n1\t2\n",
           "no column \"sentence1\"");
    snprintf(text, sizeof text, "%s0\tA\xff\tB\t1\n", head);
    refuse("glue/wnli", "train", "WNLI/train.tsv", text, "train.tsv:2:2: byte 0xff");
    refuse("glue/wnli", "train", "WNLI/train.tsv", "label\tsentence1\tsentence2\tlabel\n",
           "train.tsv:1:4: the header names \"label\" a second time");
    refuse("glue/stsb", "train", "STS-B/train.tsv",
           "sentence1\tsentence2\tscore\nA\tB\t1,5\n", "train.tsv:2:3: label is \"1,5\"");
    refuse("glue/rte", "train", "RTE/train.jsonl",
           "{\"sentence1\":\"A\",\"sentence2\":\"B\",\"label\":0}\n{\"sentence1\":]\n",
           "train.jsonl:2:14");
    refuse("glue/rte", "train", "RTE/train.jsonl", "{\"sentence1\":\"A\",\"label\":0}\n",
           "train.jsonl:1: no member \"sentence2");
}

#define SQUAD(start, impossible)                                                         \
    "{\"version\":\"x\",\"data\":[{\"title\":\"t\",\"paragraphs\":[{\"context\":"        \
    "\"Caf\xc3\xa9s in "                                                                 \
    "Rome.\",\"qas\":[{\"id\":\"q\",\"question\":\"Where?\",\"is_"                       \
    "impossible\":" impossible                                                           \
    ",\"answers\":[{\"text\":\"Rome\",\"answer_start\":" start "}]}]}]}]}"

#define SQUAD_NONE                                                                       \
    "{\"data\":[{\"paragraphs\":[{\"context\":\"c\",\"qas\":[{\"id\":\"q\","             \
    "\"question\":\"Q\",\"is_impossible\":true,\"answers\":[]}]}]}]}"

static void squad_counts_code_points_and_answers_are_checked(void **state)
{
    struct err err = ERR_INIT;
    int rc;
    struct examples *ex;
    (void)state;
    put_file("SQuAD/dev-v1.1.json", SQUAD("9", "false"));
    ex = load(task_find("squad/v1"), "dev", &rc, &err);
    assert_ok(rc, &err);
    assert_int_equal(ex->n, 1);
    assert_int_equal(ex->v[0].answers[0].begin, 10);
    assert_true(ex->v[0].answerable);
    examples_free(ex);
    refuse("squad/v1", "dev", "SQuAD/dev-v1.1.json", SQUAD("8", "false"),
           "does not stand");
    refuse("squad/v1", "dev", "SQuAD/dev-v1.1.json", SQUAD_NONE, "squad/v2");
    refuse("squad/v2", "dev", "SQuAD/dev-v2.0.json", SQUAD("9", "true"),
           "one of them is wrong");
    refuse("squad/v1", "dev", "SQuAD/dev-v1.1.json", "{\"data\":[{}]}", "paragraphs");
    refuse("squad/v1", "dev", "SQuAD/dev-v1.1.json", "{\"data\":[{\"paragraphs\":[{}]}]}",
           "context");
    refuse("squad/v1", "dev", "SQuAD/dev-v1.1.json", "{\"data\":[{\"paragraphs\":[3]}]}",
           "a paragraph is an object");
    refuse("squad/v1", "dev", "SQuAD/dev-v1.1.json",
           "{\"data\":[{\"paragraphs\":[{\"context\":\"c\",\"qas\":[{}]}]}]}",
           "question needs");
    refuse("squad/v1", "dev", "SQuAD/dev-v1.1.json",
           "{\"data\":[{\"paragraphs\":[{\"context\":\"c\"}]}]}", "qas");
    refuse("squad/v1", "dev", "SQuAD/dev-v1.1.json", "[]", "is an object");
    put_file("SQuAD/dev-v1.1.json",
             "{\"data\":[{\"paragraphs\":[{\"context\":\"c\",\"qas\":[{\"id\":\"q\","
             "\"question\":\"Q\","
             "\"answers\":[{\"text\":\"c\",\"answer_start\":0}]}]}]}]}");
    ex = load(task_find("squad/v1"), "dev", &rc, &err);
    assert_ok(rc, &err);
    examples_free(ex);
    put_file("SQuAD/dev-v2.0.json", SQUAD_NONE);
    ex = load(task_find("squad/v2"), "dev", &rc, &err);
    assert_ok(rc, &err);
    assert_false(ex->v[0].answerable);
    assert_int_equal(ex->v[0].n_answers, 0);
    examples_free(ex);
}

static void missing_files_and_splits_are_told(void **state)
{
    struct err err = ERR_INIT;
    int rc;
    (void)state;
    examples_free(load(task_find("glue/qnli"), "test", &rc, &err));
    assert_fails(rc, &err, ERR_MISSING, "no file QNLI/test.tsv");
    examples_free(load(task_find("glue/qnli"), "deb", &rc, &err));
    assert_fails(rc, &err, ERR_MISSING, "no split \"deb\"");
    assert_null(task_find("glue/nothing"));
}

static void a_declared_table_is_a_task(void **state)
{
    const char *labels[] = {"ask", "tell"};
    struct task_file files[] = {{"train", "own.tsv"}};
    struct task_decl d = {.name = "my/acts",
                          .kind = TASK_CLASSES,
                          .dir = dir,
                          .files = files,
                          .n_files = 1,
                          .columns = {.a = "2", .label = "1"},
                          .label_names = labels,
                          .n_labels = 2};
    struct err err = ERR_INIT;
    struct arena *arena = arena_new(&err);
    struct task_source src = {NULL, "train"};
    struct examples *ex = examples_new(&err);
    struct task *task = NULL;
    (void)state;
    put_file("own.tsv", "ask\tWho?\ntell\tMe.\n");
    assert_ok(task_declare(&task, &d, arena, &err), &err);
    assert_ok(task->load(task, &src, ex, &err), &err);
    assert_int_equal(ex->n, 2);
    assert_string_equal(ex->v[1].a, "Me.");
    assert_int_equal(ex->v[1].label, 1);
    assert_string_equal(task->metrics[0]->name, "accuracy");
    err_clear(&err);
    d.columns.header = true;
    d.columns.a = "3"; /* the header has two */
    assert_ok(task_declare(&task, &d, arena, &err), &err);
    assert_fails(task->load(task, &src, ex, &err), &err, ERR_INPUT, "no column \"3\"");
    d.name = "glue/mrpc";
    assert_fails(task_declare(&task, &d, arena, &err), &err, ERR_INPUT, "built in");
    d.name = "my/acts";
    d.metrics = (const char *const[]){"pearson", NULL};
    assert_fails(task_declare(&task, &d, arena, &err), &err, ERR_INPUT, "does not suit");
    examples_free(ex);
    arena_free(arena);
}

/* ---- generated tasks ---- */

#define WORDS 128

/* Numbers of the words in both texts, each in the task's vocabulary. */
static int bag(const struct task *task, const struct example *e, int *id)
{
    char text[512], *rest = NULL;
    int n = 0;
    snprintf(text, sizeof text, "%s %s", e->a, e->b ? e->b : "");
    for (char *w = strtok_r(text, " ", &rest); w; w = strtok_r(NULL, " ", &rest)) {
        int line = 0;
        size_t len = strlen(w);
        const char *v = task->vocab;
        for (; *v && (strncmp(v, w, len) || v[len] != '\n'); line++)
            v = strchr(v, '\n') + 1;
        assert_true(*v);
        id[n++] = line;
    }
    assert_in_range(n, 5, 21);
    return n;
}

static double score(const double *w, const int *id, int n)
{
    double z = w[WORDS - 1];
    for (int k = 0; k < n; k++)
        z += w[id[k]];
    return z;
}

/* Logistic regression on words' counts by plain gradient steps; its accuracy on dev. */
static double bag_of_words(const struct task *task, const struct examples *train,
                           const struct examples *dev)
{
    double w[WORDS] = {0};
    int id[64], right = 0;
    for (int epoch = 0; epoch < 5; epoch++)
        for (int64_t i = 0; i < train->n; i++) {
            int n = bag(task, &train->v[i], id);
            double g = train->v[i].label - 1 / (1 + exp(-score(w, id, n)));
            for (int k = 0; k < n; k++)
                w[id[k]] += 0.01 * g;
            w[WORDS - 1] += 0.01 * g;
        }
    for (int64_t i = 0; i < dev->n; i++) {
        int n = bag(task, &dev->v[i], id);
        right += (score(w, id, n) > 0) == (dev->v[i].label == 1);
    }
    return right / (double)dev->n;
}

static void counting_words_does_not_solve(const char *name)
{
    const struct task *task = task_find(name);
    struct err err = ERR_INIT;
    int rc;
    struct examples *train = load(task, "train", &rc, &err),
                    *dev = load(task, "dev", &rc, &err);
    double got;
    assert_ok(rc, &err);
    got = bag_of_words(task, train, dev);
    print_message("%s: %.3f by counting words\n", name, got);
    assert_true(got < 0.6);
    examples_free(train);
    examples_free(dev);
}

static void generated_classes_are_not_in_the_bag_of_words(void **state)
{
    (void)state;
    counting_words_does_not_solve("synth/agreement");
    counting_words_does_not_solve("synth/match");
}

static void generated_answers_stand_where_they_say(void **state)
{
    const struct task *task = task_find("synth/span");
    struct err err = ERR_INIT;
    int rc, id[64];
    struct examples *ex = load(task, "dev", &rc, &err);
    (void)state;
    assert_ok(rc, &err);
    for (int64_t i = 0; i < ex->n; i++) {
        const struct answer *a = ex->v[i].answers;
        bag(task, &ex->v[i], id);
        assert_memory_equal(ex->v[i].b + a->begin, a->text, strlen(a->text));
    }
    examples_free(ex);
}

/* ---- real data ---- */

static void real_glue_is_read(void **state)
{
    static const struct {
        const char *name, *split;
        int64_t n;
    } want[] = {{"glue/cola", "train", 8551}, {"glue/cola", "dev", 1043},
                {"glue/sst2", "dev", 872},    {"glue/mrpc", "train", 3668},
                {"glue/mrpc", "dev", 408},    {"glue/stsb", "dev", 1500},
                {"glue/qnli", "dev", 5463},   {"glue/rte", "train", 2490},
                {"glue/rte", "dev", 277},     {"glue/wnli", "dev", 71},
                {"glue/mnli", "dev", 9815}};
    char data[512];
    (void)state;
    skip_without_shared();
    snprintf(data, sizeof data, "%s/data", shared_dir());
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        struct err err = ERR_INIT;
        struct examples *ex = examples_new(&err);
        const struct task *task = task_find(want[i].name);
        struct task_source src = {data, want[i].split};
        assert_ok(task->load(task, &src, ex, &err), &err);
        assert_int_equal(ex->n, want[i].n);
        examples_free(ex);
    }
}

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    return file_remove(dir, &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(official_layouts_are_read),
        cmocka_unit_test(every_official_header_is_known),
        cmocka_unit_test(every_task_is_read_from_jsonl),
        cmocka_unit_test(broken_rows_of_qqp_are_left_out_and_counted),
        cmocka_unit_test(slices_are_read_strictly),
        cmocka_unit_test(errors_name_file_line_and_field),
        cmocka_unit_test(squad_counts_code_points_and_answers_are_checked),
        cmocka_unit_test(missing_files_and_splits_are_told),
        cmocka_unit_test(a_declared_table_is_a_task),
        cmocka_unit_test(generated_classes_are_not_in_the_bag_of_words),
        cmocka_unit_test(generated_answers_stand_where_they_say),
        cmocka_unit_test(real_glue_is_read),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
