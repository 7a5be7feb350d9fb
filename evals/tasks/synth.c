/*
 * Tasks that need no data: a small made-up language, drawn from PCG streams (seed 0,
 * "synth/<task>/<split>/<number>"), so every machine makes the same examples. The answer
 * depends on how distant words stand to each other, never on which words are there:
 * counting words does no better than guessing.
 *
 * synth/agreement: a sentence with one singular and one plural person word, things of
 * either number as distractors, fillers, and the verb's place, "gap". The person named
 * first is the subject. Class 1: the verb in the gap must be plural.
 *
 * synth/match: two sentences; a tells what is in the purse, b what something costs, both
 * by one of eight number words. Class 1: the money is enough; never equal.
 *
 * synth/span: question "which KIND"; the context holds one two-word name of each of three
 * kinds, in any order among fillers; the answer is the name of the kind asked.
 *
 * synth/tales: texts for language models. Somebody has something and goes somewhere;
 * after fillers the tale ends with the place, the person and the thing: who looks back
 * knows the words there, the words just before them do not tell. 16.5 words on average;
 * the least perplexity of a word is 2.87, without looking back 4.19.
 *
 * Swapping the two persons, or the two numbers, turns the answer around and leaves the
 * bag of words (of both sentences together) as it is; which of both an example holds is
 * an even draw. A bag has no means to tell which of the three kinds a question asks for.
 *
 * Sizes: 6,000 examples in train, 1,500 in dev and test; 9 to 23 tokens with [CLS] and
 * [SEP]. Measured by tests/unit/test_synth.c on dev, a drawn BERT of two layers and 64
 * channels beside a regression on the counts of words (span: on each word's own):
 *
 *                      words counted    transformer (epochs at rate 1e-3)
 *     synth/agreement     48.3 %           100.0 %  (2)
 *     synth/match         49.3 %            99.9 %  (2)
 *     synth/span          33.5 %           100.0 %  (5), exact match
 */
#include "retort/task.h"

#include <string.h>

#include "retort/rng.h"
#include "retort/strbuf.h"

#define FILLERS                                                                          \
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n"                                               \
    "now\nthen\nhere\nthere\nsoon\noften\ntoday\nquite\nonce\njust\nstill\never\n"

static const char *const filler[] = {"now",   "then",  "here", "there", "soon",  "often",
                                     "today", "quite", "once", "just",  "still", "ever"};

struct synth {
    const char *key; /* in the streams' names */
    int (*make)(struct example *e, struct rng *rng, struct strbuf *sb,
                struct arena *arena);
};

static const char *pick(struct rng *rng, const char *const *words, uint64_t n)
{
    return words[rng_below(rng, n)];
}

static void put(struct strbuf *sb, const char *word)
{
    if (sb->len)
        strbuf_putc(sb, ' ');
    strbuf_puts(sb, word);
}

static void put_fillers(struct strbuf *sb, struct rng *rng, uint64_t least, uint64_t most)
{
    for (uint64_t n = least + rng_below(rng, most - least + 1); n > 0; n--)
        put(sb, pick(rng, filler, 12));
}

static const char *keep(struct strbuf *sb, struct arena *arena)
{
    const char *s = sb->failed ? NULL : arena_strdup(arena, strbuf_text(sb));
    strbuf_clear(sb);
    return s;
}

/* ---- agreement ---- */

static const char *const person[2][4] = {{"king", "nurse", "pilot", "child"},
                                         {"kings", "nurses", "pilots", "children"}};
static const char *const thing[8] = {"lamp",  "lamps",  "boat", "boats",
                                     "stone", "stones", "door", "doors"};
static void put_things(struct strbuf *sb, struct rng *rng, uint64_t most)
{
    for (uint64_t n = rng_below(rng, most + 1); n > 0; n--) {
        put(sb, pick(rng, thing, 8));
        put_fillers(sb, rng, 0, 1);
    }
}

static int make_agreement(struct example *e, struct rng *rng, struct strbuf *sb,
                          struct arena *arena)
{
    uint64_t subject = rng_below(rng, 2);
    e->label = (int32_t)subject;
    put_fillers(sb, rng, 1, 3);
    put(sb, pick(rng, person[subject], 4));
    put_fillers(sb, rng, 1, 2);
    put_things(sb, rng, 2);
    put(sb, pick(rng, person[1 - subject], 4));
    put_fillers(sb, rng, 1, 3);
    put(sb, "gap");
    put_fillers(sb, rng, 1, 4);
    e->a = keep(sb, arena);
    return e->a ? 0 : -1;
}

/* ---- match ---- */

static const char *const number[8] = {"one",  "two", "three", "four",
                                      "five", "six", "seven", "eight"};

static int make_match(struct example *e, struct rng *rng, struct strbuf *sb,
                      struct arena *arena)
{
    uint64_t money = rng_below(rng, 8), price = (money + 1 + rng_below(rng, 7)) % 8;
    e->label = money > price;
    put_fillers(sb, rng, 1, 4);
    put(sb, "purse");
    put(sb, number[money]);
    put_fillers(sb, rng, 1, 4);
    e->a = keep(sb, arena);
    put_fillers(sb, rng, 1, 4);
    put(sb, "costs");
    put(sb, number[price]);
    put_fillers(sb, rng, 1, 4);
    e->b = keep(sb, arena);
    return e->a && e->b ? 0 : -1;
}

/* ---- span ---- */

static const char *const kind[3] = {"ship", "town", "food"};
static const char *const opener[3][3] = {
    {"royal", "silent", "iron"}, {"upper", "lower", "old"}, {"sweet", "fried", "salted"}};
static const char *const closer[3][3] = {{"falcon", "queen", "wave"},
                                         {"bridge", "market", "harbour"},
                                         {"bread", "fish", "rice"}};

static int make_span(struct example *e, struct rng *rng, struct strbuf *sb,
                     struct arena *arena)
{
    int64_t order[3] = {0, 1, 2};
    int64_t asked = (int64_t)rng_below(rng, 3);
    struct answer *answer = arena_zalloc(arena, (int64_t)sizeof *answer);

    rng_shuffle(rng, order, 3);
    put(sb, "which");
    put(sb, kind[asked]);
    e->a = keep(sb, arena);
    for (int i = 0; i < 3; i++) {
        const char *one = pick(rng, opener[order[i]], 3),
                   *two = pick(rng, closer[order[i]], 3);
        put_fillers(sb, rng, 1, 2);
        if (answer && order[i] == asked)
            *answer = (struct answer){.text = arena_printf(arena, "%s %s", one, two),
                                      .begin = (int64_t)sb->len + 1};
        put(sb, one);
        put(sb, two);
    }
    put_fillers(sb, rng, 1, 2);
    e->b = keep(sb, arena);
    e->answers = answer;
    e->n_answers = 1;
    e->answerable = true;
    return e->a && e->b && answer && answer->text ? 0 : -1;
}

/* ---- tales ---- */

static const char *const place[8] = {"hill",  "well", "mill",  "inn",
                                     "field", "ford", "tower", "cave"};

static int make_tale(struct example *e, struct rng *rng, struct strbuf *sb,
                     struct arena *arena)
{
    const char *who = pick(rng, person[rng_below(rng, 2)], 4);
    const char *what = pick(rng, thing, 8), *where = pick(rng, place, 8);

    put(sb, who);
    put(sb, "with");
    put(sb, what);
    put_fillers(sb, rng, 0, 2);
    put(sb, "near");
    put(sb, where);
    put(sb, ".");
    put_fillers(sb, rng, 1, 4);
    put(sb, "at");
    put(sb, where);
    put(sb, "sits");
    put(sb, who);
    put(sb, "holding");
    put(sb, what);
    put(sb, ".");
    e->a = keep(sb, arena);
    return e->a ? 0 : -1;
}

/* ---- splits ---- */

static int64_t split_size(const char *split)
{
    if (!strcmp(split, "train"))
        return 6000;
    return !strcmp(split, "dev") || !strcmp(split, "test") ? 1500 : 0;
}

static int load(const struct task *task, const struct task_source *src,
                struct examples *out, struct err *err)
{
    const struct synth *synth = task->config;
    struct strbuf sb = STRBUF_INIT;
    int64_t n = split_size(src->split);
    int rc = -1;

    if (!n)
        return err_set(err, ERR_MISSING,
                       "%s has no split \"%s\"; it has train, dev, test", task->name,
                       src->split);
    for (int64_t i = 0; i < n; i++) {
        struct rng rng =
            rng_streamf(0, "synth/%s/%s/%lld", synth->key, src->split, (long long)i);
        struct example *e = examples_add(out, err);
        if (!e)
            goto done;
        e->id = arena_printf(out->arena, "%lld", (long long)i);
        if (synth->make(e, &rng, &sb, out->arena) || !e->id) {
            if (!strbuf_failed(&sb, err))
                arena_failed(out->arena, err);
            goto done;
        }
    }
    rc = 0;
done:
    strbuf_release(&sb);
    return rc;
}

static const char *const splits[] = {"train", "dev", "test", NULL};

extern const struct metric metric_accuracy, metric_f1, metric_exact_match,
    metric_perplexity, metric_word_perplexity, metric_byte_perplexity,
    metric_bits_per_byte, metric_hf_perplexity;
static const struct metric *const of_classes[] = {&metric_accuracy, NULL};
static const struct metric *const of_spans[] = {&metric_f1, &metric_exact_match, NULL};
static const struct metric *const of_texts[] = {
    &metric_perplexity,    &metric_word_perplexity, &metric_byte_perplexity,
    &metric_bits_per_byte, &metric_hf_perplexity,   NULL};
static const char *const agree_names[] = {"singular", "plural", NULL};
static const char *const match_names[] = {"too_little", "enough", NULL};

extern const struct task task_synth_agreement, task_synth_match, task_synth_span,
    task_synth_tales;

const struct task task_synth_agreement = {
    .name = "synth/agreement",
    .summary = "which number must the verb have (generated)",
    .kind = TASK_CLASSES,
    .labels = 2,
    .label_names = agree_names,
    .metrics = of_classes,
    .splits = splits,
    .version = 1,
    .max_len = 32,
    .load = load,
    .vocab = FILLERS "king\nnurse\npilot\nchild\nkings\nnurses\npilots\nchildren\n"
                     "gap\nlamp\nlamps\nboat\nboats\nstone\nstones\ndoor\ndoors\n",
    .config = &(const struct synth){"agreement", make_agreement},
};

const struct task task_synth_match = {
    .name = "synth/match",
    .summary = "is the money enough for the price (generated sentence pairs)",
    .kind = TASK_CLASSES,
    .labels = 2,
    .label_names = match_names,
    .metrics = of_classes,
    .splits = splits,
    .version = 1,
    .max_len = 32,
    .load = load,
    .vocab = FILLERS "purse\ncosts\none\ntwo\nthree\nfour\nfive\nsix\nseven\neight\n",
    .config = &(const struct synth){"match", make_match},
};

const struct task task_synth_span = {
    .name = "synth/span",
    .summary = "find the name of the kind asked for (generated)",
    .kind = TASK_SPAN,
    .labels = 2,
    .metrics = of_spans,
    .splits = splits,
    .version = 2,
    .max_len = 32,
    .load = load,
    .vocab =
        FILLERS "which\nship\ntown\nfood\nroyal\nsilent\niron\nupper\nlower\nold\n"
                "sweet\nfried\nsalted\nfalcon\nqueen\nwave\nbridge\nmarket\nharbour\n"
                "bread\nfish\nrice\n",
    .config = &(const struct synth){"span", make_span},
};

const struct task task_synth_tales = {
    .name = "synth/tales",
    .summary = "little tales that end with what they began with (generated)",
    .kind = TASK_LM,
    .labels = 1,
    .metrics = of_texts,
    .splits = splits,
    .version = 1,
    .max_len = 64,
    .load = load,
    .vocab = FILLERS ".\nwith\nnear\nat\nsits\nholding\nking\nnurse\npilot\nchild\n"
                     "kings\nnurses\npilots\nchildren\nlamp\nlamps\nboat\nboats\nstone\n"
                     "stones\ndoor\ndoors\nhill\nwell\nmill\ninn\nfield\nford\ntower\n"
                     "cave\n",
    .config = &(const struct synth){"tales", make_tale},
};
