/*
 * Where data come from. Digests and sizes are those that the datasets library of Hugging
 * Face published with its loaders of GLUE and SQuAD; numbers of examples the papers'.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "retort/fetch.h"
#include "retort/file.h"
#include "retort/strbuf.h"

#define GLUE_URL "https://dl.fbaipublicfiles.com/glue/data/"
#define SENTEVAL_URL "https://dl.fbaipublicfiles.com/senteval/senteval_data/"
#define SQUAD_URL "https://rajpurkar.github.io/SQuAD-explorer/dataset/"

#define MRPC_PARTS "glue/MRPC/"
#define MB ((int64_t)1 << 20)

/* ---- MRPC: cut as GLUE cuts it ---- */

/* "quality<TAB>id<TAB>id<TAB>text<TAB>text": is "id<TAB>id" a line of the dev set's? */
static bool is_dev(const char *ids, const char *line, size_t n)
{
    const char *tab = memchr(line, '\t', n), *second, *end;
    size_t k;

    if (!tab || !(second = memchr(tab + 1, '\t', n - (size_t)(tab + 1 - line))) ||
        !(end = memchr(second + 1, '\t', n - (size_t)(second + 1 - line))))
        return false;
    k = (size_t)(end - tab - 1);
    for (const char *p = ids; *p;) {
        size_t m = strcspn(p, "\r\n");
        if (m == k && !memcmp(p, tab + 1, k))
            return true;
        p += m + strspn(p + m, "\r\n");
    }
    return false;
}

static int save(const char *dir, const char *name, const struct strbuf *sb,
                struct err *err)
{
    char *path = strbuf_failed(sb, err) ? NULL : path_join(dir, name, err);
    int rc = path ? file_write(path, strbuf_text(sb), (int64_t)sb->len, err) : -1;

    free(path);
    return rc;
}

static int load(char **text, const char *dir, const char *name, struct err *err)
{
    char *path = path_join(dir, name, err);
    int rc = path ? file_read(text, NULL, path, 64 * MB, err) : -1;

    free(path);
    return rc;
}

/* Lines of `text` after its header, each with its end; `put` is called for each. */
static void cut_train(struct strbuf *train, struct strbuf *dev, const char *text,
                      const char *ids)
{
    size_t n = strcspn(text, "\n");

    strbuf_add(train, text, n);
    strbuf_add(dev, text, n);
    for (const char *p = text + n + (text[n] != 0); *p; p += n + (p[n] != 0)) {
        struct strbuf *to;
        n = strcspn(p, "\n");
        to = is_dev(ids, p, n) ? dev : train;
        strbuf_putc(to, '\n');
        strbuf_add(to, p, n);
    }
    strbuf_putc(train, '\n');
    strbuf_putc(dev, '\n');
}

/* The test set as GLUE gives it: numbered, without its labels. */
static void cut_test(struct strbuf *test, const char *text)
{
    int64_t at = 0;
    size_t n = strcspn(text, "\n");

    strbuf_puts(test, "index\t#1 ID\t#2 ID\t#1 String\t#2 String\n");
    for (const char *p = text + n + (text[n] != 0); *p; p += n + (p[n] != 0)) {
        const char *tab;
        n = strcspn(p, "\n");
        tab = memchr(p, '\t', n);
        if (!tab)
            continue;
        strbuf_printf(test, "%" PRId64, at++);
        strbuf_add(test, tab, n - (size_t)(tab - p));
        strbuf_putc(test, '\n');
    }
}

static int build_mrpc(const char *dir, struct err *err)
{
    struct strbuf train = STRBUF_INIT, dev = STRBUF_INIT, test = STRBUF_INIT;
    char *text = NULL, *ids = NULL, *unseen = NULL;
    int rc = -1;

    if (load(&text, dir, MRPC_PARTS "msr_paraphrase_train.txt", err) ||
        load(&ids, dir, MRPC_PARTS "dev_ids.tsv", err) ||
        load(&unseen, dir, MRPC_PARTS "msr_paraphrase_test.txt", err))
        goto done;
    cut_train(&train, &dev, text, ids);
    cut_test(&test, unseen);
    if (!save(dir, MRPC_PARTS "train.tsv", &train, err) &&
        !save(dir, MRPC_PARTS "dev.tsv", &dev, err) &&
        !save(dir, MRPC_PARTS "test.tsv", &test, err))
        rc = 0;
done:
    strbuf_release(&train);
    strbuf_release(&dev);
    strbuf_release(&test);
    free(text);
    free(ids);
    free(unseen);
    return rc;
}

/* ---- the table ---- */

/* clang-format off */
#define ARCHIVE(name_, folder, zip, bytes, digest, megabytes, what_, ...) \
    {.name = "glue/" name_, .what = what_, .file = {{GLUE_URL zip, digest, bytes, "glue/"}}, \
     .place = {"glue/" folder}, .unpacked = megabytes * MB, .count = {__VA_ARGS__}}
#define THREE(task, train, dev, test) {task, "train", train}, {task, "dev", dev}, {task, "test", test}
#define SQUAD(v, json, train_bytes, train_digest, dev_bytes, dev_digest, train, dev) \
    {.name = "squad/" v, .what = "from the SQuAD explorer, CC BY-SA 4.0", \
     .file = {{SQUAD_URL "train-" json, train_digest, train_bytes, "squad/train-" json}, \
              {SQUAD_URL "dev-" json, dev_digest, dev_bytes, "squad/dev-" json}}, \
     .place = {"squad/train-" json, "squad/dev-" json}, \
     .count = {{"squad/" v, "train", train}, {"squad/" v, "dev", dev}}}

static const struct data_source sources[] = {
    ARCHIVE("cola", "CoLA", "CoLA.zip", 376971, "f212fcd832b8f7b435fb991f101abf89f96b933ab400603bf198960dfc32cbff",
            64, "0.4 MB", THREE("glue/cola", 8551, 1043, 1063)),
    ARCHIVE("sst2", "SST-2", "SST-2.zip", 7439277, "d67e16fb55739c1b32cdce9877596db1c127dc322d93c082281f64057c16deaa",
            256, "7.4 MB", THREE("glue/sst2", 67349, 872, 1821)),
    {.name = "glue/mrpc", .what = "1.5 MB, from SentEval",
     .file = {{SENTEVAL_URL "msr_paraphrase_train.txt", "60a9b09084528f0673eedee2b69cb941920f0b8cd0eeccefc464a98768457f89", 1047044, MRPC_PARTS "msr_paraphrase_train.txt"},
              {SENTEVAL_URL "msr_paraphrase_test.txt", "a04e271090879aaba6423d65b94950c089298587d9c084bf9cd7439bd785f784", 441275, MRPC_PARTS "msr_paraphrase_test.txt"},
              {GLUE_URL "mrpc_dev_ids.tsv", "971d7767d81b997fd9060ade0ec23c4fc31cbb226a55d1bd4a1bac474eb81dc7", 6222, MRPC_PARTS "dev_ids.tsv"}},
     .place = {"glue/MRPC"}, .build = build_mrpc, .count = {THREE("glue/mrpc", 3668, 408, 1725)}},
    ARCHIVE("qqp", "QQP", "QQP-clean.zip", 41696084, "40e7c862c04eb26ee04b67fd900e76c45c6ba8e6d8fab4f8f1f8072a1a3fbae0",
            1024, "42 MB", THREE("glue/qqp", 363846, 40430, 390965)),
    ARCHIVE("stsb", "STS-B", "STS-B.zip", 802872, "e60a6393de5a8b5b9bac5020a1554b54e3691f9d600b775bd131e613ac179c85",
            64, "0.8 MB", THREE("glue/stsb", 5749, 1500, 1379)),
    ARCHIVE("mnli", "MNLI", "MNLI.zip", 312783507, "e7c1d896d26ed6caf700110645df426cc2d8ebf02a5ab743d5a5c68ac1c83633",
            4096, "313 MB, matched and mismatched", THREE("glue/mnli", 392702, 9815, 9796),
            {"glue/mnli-mm", "dev", 9832}, {"glue/mnli-mm", "test", 9847}),
    ARCHIVE("qnli", "QNLI", "QNLIv2.zip", 10627589, "e634e78627a29adaecd4f955359b22bf5e70f2cbd93b493f2d624138a0c0e5f5",
            256, "11 MB", THREE("glue/qnli", 104743, 5463, 5463)),
    ARCHIVE("rte", "RTE", "RTE.zip", 697150, "6bf86de103ecd335f3441bd43574d23fef87ecc695977a63b82d5efb206556ee",
            64, "0.7 MB", THREE("glue/rte", 2490, 277, 3000)),
    ARCHIVE("wnli", "WNLI", "WNLI.zip", 28999, "ae0e8e4d16f4d46d4a0a566ec7ecceccfd3fbfaa4a7a4b4e02848c0f2561ac46",
            64, "0.03 MB", THREE("glue/wnli", 635, 71, 146)),
    {.name = "glue/ax", .what = "0.2 MB, without labels",
     .file = {{GLUE_URL "AX.tsv", "0e13510b1bb14436ff7e2ee82338f0efb0133ecf2e73507a697dc210db3f05fd", 222257, "glue/AX/AX.tsv"}},
     .place = {"glue/AX"}, .count = {{"glue/ax", "test", 1104}}},
    SQUAD("v1", "v1.1.json", 30288272, "3527663986b8295af4f7fcdff1ba1ff3f72d07d61a20f487cb238a6ef92fd955",
          4854279, "95aa6a52d5d6a735563366753ca50492a658031da74f301ac5238b03966972c9", 87599, 10570),
    SQUAD("v2", "v2.0.json", 42123633, "68dcfbb971bd3e96d5b46c7177b16c1a4e7d4bdef19fb204502738552dede002",
          4370528, "80a5225e94905956a6446d296ca1093975c4d3b3260f1d6c8f68bc2ab77182d8", 130319, 11873),
    {.name = NULL},
};
/* clang-format on */

const struct data_source *data_sources(void)
{
    return sources;
}
