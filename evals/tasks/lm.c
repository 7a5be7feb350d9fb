/*
 * Language modelling on plain texts, in the layouts of their distributions:
 *
 *   lm/wikitext-2-raw   wikitext-2-raw/{train,valid,test}.txt, each one document
 *   lm/wikitext-2       the same with <unk> for rare words: {train,valid,test}.txt
 *   lm/wikitext-103     wikitext-103/wiki.{train,valid,test}.tokens (Merity et al. 2016)
 *   lm/ptb              ptb/ptb.{train,valid,test}.txt (Mikolov's Penn Treebank)
 *   lm/tinystories      tinystories/sample.txt, stories with <|endoftext|> between
 *                       (Eldan & Li 2023, arXiv:2305.07759)
 *   lm/c4               c4/sample.json, a list of {"input", "output"}: one text in two
 *                       parts (Raffel et al. 2020)
 *   lm/prose            prose/{warandpeace,tinyshakespeare}.txt, each one document
 *   lm/imdb             imdb/imdb.jsonl, a review in "text" of each line
 *   lm/mixed            train: wikitext-2-raw/train.txt and all of tinystories, c4, prose
 *                       and imdb, one after another
 *
 * Where a distribution has one file alone, "all" is all of it, "dev" each twentieth
 * document of a file (of a single document its last twentieth, from a line's beginning),
 * "train" the rest.
 */
#include "lm.h"

extern const struct metric metric_perplexity, metric_word_perplexity,
    metric_byte_perplexity, metric_bits_per_byte, metric_hf_perplexity;

static const struct metric *const metrics[] = {
    &metric_perplexity,    &metric_word_perplexity, &metric_byte_perplexity,
    &metric_bits_per_byte, &metric_hf_perplexity,   NULL};

static const char *const three[] = {"train", "dev", "test", NULL};
static const char *const held[] = {"train", "dev", "all", NULL};
static const char *const train_only[] = {"train", NULL};

#define FILES(...)                                                                       \
    (const char *const[])                                                                \
    {                                                                                    \
        __VA_ARGS__, NULL                                                                \
    }
#define THREE(train_, dev_, test_)                                                       \
    (const struct corpus_split[])                                                        \
    {                                                                                    \
        {"train", FILES(train_), CORPUS_ALL}, {"dev", FILES(dev_), CORPUS_ALL},          \
            {"test", FILES(test_), CORPUS_ALL},                                          \
        {                                                                                \
            0                                                                            \
        }                                                                                \
    }
#define HELD(...)                                                                        \
    (const struct corpus_split[])                                                        \
    {                                                                                    \
        {"train", FILES(__VA_ARGS__), CORPUS_LEARN},                                     \
            {"dev", FILES(__VA_ARGS__), CORPUS_HELD},                                    \
            {"all", FILES(__VA_ARGS__), CORPUS_ALL},                                     \
        {                                                                                \
            0                                                                            \
        }                                                                                \
    }

#define LM(id, name_, summary_, split_names, splits_, ...)                               \
    extern const struct task task_lm_##id;                                               \
    const struct task task_lm_##id = {                                                   \
        .name = name_,                                                                   \
        .summary = summary_,                                                             \
        .kind = TASK_LM,                                                                 \
        .labels = 1,                                                                     \
        .metrics = metrics,                                                              \
        .splits = split_names,                                                           \
        .version = 1,                                                                    \
        .max_len = 512,                                                                  \
        .every_file = true,                                                              \
        .files = corpus_files,                                                           \
        .load = corpus_load,                                                             \
        .config = &(const struct corpus){.splits = splits_, __VA_ARGS__},                \
    }

/* clang-format off */
LM(wikitext2_raw, "lm/wikitext-2-raw", "articles of Wikipedia, whole words", three,
   THREE("wikitext-2-raw/train.txt", "wikitext-2-raw/valid.txt", "wikitext-2-raw/test.txt"),
   .separator = NULL);

LM(wikitext2, "lm/wikitext-2", "articles of Wikipedia, rare words as <unk>", three,
   THREE("wikitext-2/train.txt", "wikitext-2/valid.txt", "wikitext-2/test.txt"),
   .separator = NULL);

LM(wikitext103, "lm/wikitext-103", "more articles of Wikipedia, rare words as <unk>", three,
   THREE("wikitext-103/wiki.train.tokens", "wikitext-103/wiki.valid.tokens",
         "wikitext-103/wiki.test.tokens"),
   .separator = NULL);

LM(ptb, "lm/ptb", "newspaper text of the Penn Treebank, 10,000 words", three,
   THREE("ptb/ptb.train.txt", "ptb/ptb.valid.txt", "ptb/ptb.test.txt"),
   .separator = NULL);

LM(tinystories, "lm/tinystories", "little stories in simple words", held,
   HELD("tinystories/sample.txt"), .separator = "<|endoftext|>");

LM(c4, "lm/c4", "pages of the web", held, HELD("c4/sample.json"),
   .member = "input|text", .more = "output");

LM(prose, "lm/prose", "War and Peace, and Shakespeare's plays", held,
   HELD("prose/warandpeace.txt", "prose/tinyshakespeare.txt"), .separator = NULL);

LM(imdb, "lm/imdb", "reviews of films", held, HELD("imdb/imdb.jsonl"), .member = "text");

LM(mixed, "lm/mixed", "wikitext-2-raw, tinystories, c4, prose and imdb together", train_only,
   ((const struct corpus_split[]){
       {"train", FILES("wikitext-2-raw/train.txt", "tinystories/sample.txt", "c4/sample.json",
                       "prose/warandpeace.txt", "prose/tinyshakespeare.txt",
                       "imdb/imdb.jsonl"), CORPUS_ALL},
       {0}}),
   .separator = "<|endoftext|>", .member = "text|input", .more = "output");
/* clang-format on */
