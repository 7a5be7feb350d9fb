#include "bpe.h"

#include <stdlib.h>
#include <string.h>

#include "kind.h"

enum {
    SHORT = 24, /* symbols; up to here looking through all is quicker than a heap */
    NONE = -1,
};

struct pair {
    uint64_t key; /* left + 1 << 32 | right; 0 is free */
    int32_t rank, id;
};

struct bpe {
    struct pair *slot; /* open addressing */
    uint64_t mask;
};

int bpe_new(struct bpe **out, int64_t n, struct err *err)
{
    struct bpe *bpe = mem_new(1, sizeof *bpe, err);
    int64_t slots = 16;

    while (slots < 2 * n)
        slots *= 2;
    if (bpe) {
        bpe->mask = (uint64_t)slots - 1;
        bpe->slot = mem_new(slots, sizeof *bpe->slot, err);
    }
    if (!bpe || !bpe->slot) {
        bpe_free(bpe);
        return -1;
    }
    *out = bpe;
    return 0;
}

void bpe_free(struct bpe *bpe)
{
    if (!bpe)
        return;
    free(bpe->slot);
    free(bpe);
}

/* The pair's slot, or the free one where it belongs. */
static struct pair *pair_slot(const struct bpe *bpe, int32_t left, int32_t right)
{
    uint64_t key = ((uint64_t)left + 1) << 32 | (uint32_t)right;
    uint64_t i = (key * 0x9E3779B97F4A7C15u) >> 20 & bpe->mask;

    while (bpe->slot[i].key && bpe->slot[i].key != key)
        i = (i + 1) & bpe->mask;
    return &bpe->slot[i];
}

void bpe_add(struct bpe *bpe, int32_t left, int32_t right, int32_t rank, int32_t id)
{
    struct pair *p = pair_slot(bpe, left, right);

    if (!p->key)
        *p = (struct pair){((uint64_t)left + 1) << 32 | (uint32_t)right, rank, id};
}

static const struct pair *pair_find(const struct bpe *bpe, int32_t left, int32_t right)
{
    const struct pair *p = pair_slot(bpe, left, right);

    return p->key ? p : NULL;
}

/* ---- short words: the best of all pairs, again and again ---- */

static void merge_short(const struct bpe *bpe, int32_t *symbol, int32_t *first,
                        int64_t *n)
{
    const struct pair *pair[SHORT];
    int64_t k = *n;

    for (int64_t i = 0; i + 1 < k; i++)
        pair[i] = pair_find(bpe, symbol[i], symbol[i + 1]);
    for (;;) {
        int64_t best = NONE;
        for (int64_t i = 0; i + 1 < k; i++)
            if (pair[i] && (best == NONE || pair[i]->rank < pair[best]->rank))
                best = i;
        if (best == NONE)
            break;
        size_t rest = (size_t)(k - best - 2);
        symbol[best] = pair[best]->id;
        memmove(symbol + best + 1, symbol + best + 2, rest * sizeof *symbol);
        memmove(first + best + 1, first + best + 2, rest * sizeof *first);
        if (rest > 0)
            memmove(pair + best + 1, pair + best + 2, (rest - 1) * sizeof(void *));
        k--;
        if (best + 1 < k)
            pair[best] = pair_find(bpe, symbol[best], symbol[best + 1]);
        if (best > 0)
            pair[best - 1] = pair_find(bpe, symbol[best - 1], symbol[best]);
    }
    *n = k;
}

/* ---- long words: a heap of candidates over a list ---- */

/* A candidate is rank << 32 | place of its left symbol, so the order of numbers is the
 * order of merging. One whose symbols were merged since is known by its rank: it is no
 * longer that of the pair there. */

static void heap_push(struct bpe_work *w, uint64_t x)
{
    int64_t i = w->n_heap++;

    while (i > 0 && w->heap[(i - 1) / 2] > x) {
        w->heap[i] = w->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    w->heap[i] = x;
}

static uint64_t heap_pop(struct bpe_work *w)
{
    uint64_t top = w->heap[0], last = w->heap[--w->n_heap];
    int64_t i = 0, child;

    while ((child = 2 * i + 1) < w->n_heap) {
        if (child + 1 < w->n_heap && w->heap[child + 1] < w->heap[child])
            child++;
        if (w->heap[child] >= last)
            break;
        w->heap[i] = w->heap[child];
        i = child;
    }
    w->heap[i] = last;
    return top;
}

/* The pair that begins at place i, as a candidate. */
static void propose(const struct bpe *bpe, const int32_t *symbol, int64_t i,
                    struct bpe_work *w)
{
    if (i == NONE || w->next[i] == NONE)
        return;
    const struct pair *p = pair_find(bpe, symbol[i], symbol[w->next[i]]);
    if (p)
        heap_push(w, (uint64_t)(uint32_t)p->rank << 32 | (uint64_t)i);
}

static void free_room(struct bpe_work *w)
{
    free(w->next);
    free(w->prev);
    free(w->heap);
    w->next = w->prev = NULL;
    w->heap = NULL;
    w->room = 0;
}

static int work_reserve(struct bpe_work *w, int64_t n, struct err *err)
{
    if (n <= w->room)
        return 0;
    free_room(w);
    w->next = mem_new(n, sizeof *w->next, err);
    w->prev = mem_new(n, sizeof *w->prev, err);
    /* Each merge takes one candidate out and puts at most two in. */
    w->heap = mem_new(2 * n, sizeof *w->heap, err);
    if (!w->next || !w->prev || !w->heap) {
        free_room(w);
        return -1;
    }
    w->room = n;
    return 0;
}

void bpe_work_release(struct bpe_work *w)
{
    free_room(w);
}

/* So many of a word's bytes count as read. */
static int look_out(struct bpe_work *w, int64_t bytes, struct err *err)
{
    return w->lookout ? lookout_pass(w->lookout, w->at + bytes, err) : 0;
}

static int merge_long(const struct bpe *bpe, int32_t *symbol, int32_t *first, int64_t *n,
                      struct bpe_work *w, struct err *err)
{
    int64_t kept = 0, pops = 0;

    for (int64_t i = 0; i < *n; i++) {
        w->prev[i] = (int32_t)i - 1;
        w->next[i] = i + 1 < *n ? (int32_t)i + 1 : NONE;
    }
    w->n_heap = 0;
    for (int64_t i = 0; i < *n; i++) {
        propose(bpe, symbol, i, w);
        if (look_out(w, i / 2, err))
            return -1;
    }
    while (w->n_heap > 0) {
        uint64_t x = heap_pop(w);
        /* At most two are popped for each symbol. */
        if (look_out(w, *n / 2 + ++pops / 4, err))
            return -1;
        int64_t i = (int64_t)(x & 0xFFFFFFFF);
        int32_t right = symbol[i] == NONE ? NONE : w->next[i];
        const struct pair *p =
            right == NONE ? NULL : pair_find(bpe, symbol[i], symbol[right]);
        if (!p || (uint32_t)p->rank != x >> 32)
            continue;
        symbol[i] = p->id;
        symbol[right] = NONE;
        w->next[i] = w->next[right];
        if (w->next[i] != NONE)
            w->prev[w->next[i]] = (int32_t)i;
        propose(bpe, symbol, w->prev[i], w);
        propose(bpe, symbol, i, w);
    }
    for (int64_t i = 0; i < *n; i++) {
        if (symbol[i] == NONE)
            continue;
        symbol[kept] = symbol[i];
        first[kept++] = (int32_t)i;
    }
    *n = kept;
    return 0;
}

int bpe_merge(const struct bpe *bpe, int32_t *symbol, int32_t *first, int64_t *n,
              struct bpe_work *work, struct err *err)
{
    if (*n > INT32_MAX / 2)
        return err_set(err, ERR_INPUT, "a word of %lld symbols is too long",
                       (long long)*n);
    for (int64_t i = 0; i < *n; i++)
        first[i] = (int32_t)i;
    if (*n <= SHORT) {
        merge_short(bpe, symbol, first, n);
        return 0;
    }
    if (work_reserve(work, *n, err))
        return -1;
    return merge_long(bpe, symbol, first, n, work, err);
}
