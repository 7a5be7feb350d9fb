/*
 * A stack machine, as Python's own, whose values are nodes of an arena. A node is made by
 * an opcode, so their number is bounded by the text's; nothing recurses, so neither does
 * depth matter.
 */
#include "pickle.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "retort/utf8.h"

#define NODES_MAX 1000000 /* some 80,000 tensors; the stack is no deeper */

const char *const pickle_kind_names[] = {
    "None",   "a truth value", "a whole number", "a whole number", "a number",
    "a text", "bytes",         "a tuple",        "a list",         "a dictionary",
    "a name", "an object",     "a storage",
};

struct machine {
    const unsigned char *data;
    int64_t len, at, op_at;
    const char *name;
    const char *const *names;
    struct arena *arena;
    struct err *err;
    struct pickle **stack, **memo;
    int64_t depth, stack_cap, n_memo, memo_cap;
    int64_t *mark; /* depths */
    int64_t n_marks, marks_cap;
    int64_t nodes;
    struct pickle *held;
};

static int refuse(struct machine *m, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static int refuse(struct machine *m, const char *fmt, ...)
{
    char what[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return err_set(m->err, ERR_INPUT, "%s: byte %" PRId64 ": %s", m->name, m->op_at,
                   what);
}

/* ---- the text ---- */

static const unsigned char *take(struct machine *m, int64_t n)
{
    const unsigned char *p = m->data + m->at;

    if (n < 0 || n > m->len - m->at) {
        refuse(m, "the pickle is cut off");
        return NULL;
    }
    m->at += n;
    return p;
}

static int take_number(struct machine *m, int bytes, uint64_t *out)
{
    const unsigned char *p = take(m, bytes);

    *out = 0;
    for (int i = bytes - 1; p && i >= 0; i--)
        *out = *out << 8 | p[i];
    return p ? 0 : -1;
}

/* ---- nodes and the stack ---- */

static struct pickle *node(struct machine *m, enum pickle_kind kind)
{
    struct pickle *p;

    if (m->nodes++ >= NODES_MAX) {
        refuse(m, "more than %d values", NODES_MAX);
        return NULL;
    }
    p = arena_zalloc(m->arena, (int64_t)sizeof *p);
    if (!p) {
        arena_failed(m->arena, m->err);
        return NULL;
    }
    p->kind = kind;
    p->at = m->op_at;
    return p;
}

static int append(struct machine *m, struct pickle *to, struct pickle *item)
{
    if (to->n == to->capacity) {
        int64_t capacity = to->capacity ? 2 * to->capacity : 4;
        struct pickle **wider = arena_alloc(m->arena, capacity * (int64_t)sizeof *wider);
        if (!wider)
            return arena_failed(m->arena, m->err);
        if (to->n > 0)
            memcpy(wider, to->item, (size_t)to->n * sizeof *wider);
        to->item = wider;
        to->capacity = capacity;
    }
    to->item[to->n++] = item;
    return 0;
}

static int push(struct machine *m, struct pickle *p)
{
    void *array = m->stack;

    if (p && m->depth >= NODES_MAX)
        return refuse(m, "more than %d values", NODES_MAX);
    if (!p || mem_grow(&array, m->depth, &m->stack_cap, sizeof *m->stack, m->err))
        return -1;
    m->stack = array;
    m->stack[m->depth++] = p;
    return 0;
}

/* What lies above the last mark is all that an opcode may take. */
static int64_t floor_of(const struct machine *m)
{
    return m->n_marks ? m->mark[m->n_marks - 1] : 0;
}

static struct pickle *pop(struct machine *m)
{
    if (m->depth <= floor_of(m)) {
        refuse(m, "takes a value from an empty stack");
        return NULL;
    }
    return m->stack[--m->depth];
}

static struct pickle *top(struct machine *m)
{
    struct pickle *p = pop(m);

    m->depth += p != NULL;
    return p;
}

static int push_mark(struct machine *m)
{
    void *array = m->mark;

    if (m->n_marks >= NODES_MAX)
        return refuse(m, "more than %d lists in lists", NODES_MAX);
    if (mem_grow(&array, m->n_marks, &m->marks_cap, sizeof *m->mark, m->err))
        return -1;
    m->mark = array;
    m->mark[m->n_marks++] = m->depth;
    return 0;
}

/* Ends the last mark; *begin is its place on the stack. */
static int pop_mark(struct machine *m, int64_t *begin)
{
    if (m->n_marks == 0)
        return refuse(m, "ends a list that was not begun");
    *begin = m->mark[--m->n_marks];
    return 0;
}

static int push_int(struct machine *m, enum pickle_kind kind, int64_t value)
{
    struct pickle *p = node(m, kind);

    if (p)
        p->integer = value;
    return push(m, p);
}

static struct pickle *text_node(struct machine *m, enum pickle_kind kind,
                                const unsigned char *bytes, int64_t n)
{
    struct pickle *p = node(m, kind);
    char *text = p ? arena_alloc(m->arena, n + 1) : NULL;

    if (!text) {
        arena_failed(m->arena, m->err);
        return NULL;
    }
    memcpy(text, bytes, (size_t)n);
    text[n] = '\0';
    p->text = text;
    p->len = n;
    return p;
}

/* A text or bytes whose length stands before them in `bytes` bytes. */
static int push_text(struct machine *m, enum pickle_kind kind, int bytes)
{
    uint64_t n;
    const unsigned char *p;

    if (take_number(m, bytes, &n))
        return -1;
    p = take(m, n > (uint64_t)m->len ? -1 : (int64_t)n);
    return p ? push(m, text_node(m, kind, p, (int64_t)n)) : -1;
}

static int push_long(struct machine *m, int bytes)
{
    uint64_t n, value = 0;
    const unsigned char *p;

    if (take_number(m, bytes, &n))
        return -1;
    p = take(m, n > (uint64_t)m->len ? -1 : (int64_t)n);
    if (!p)
        return -1;
    if (n > 8)
        return push(m, text_node(m, PICKLE_BIG, p, (int64_t)n));
    for (uint64_t i = 8; i-- > 0;) {
        uint64_t sign = n > 0 && p[n - 1] & 0x80 ? 0xFF : 0;
        value = value << 8 | (i < n ? p[i] : sign);
    }
    return push_int(m, PICKLE_INT, (int64_t)value);
}

static int push_real(struct machine *m)
{
    const unsigned char *p = take(m, 8);
    struct pickle *v = p ? node(m, PICKLE_REAL) : NULL;
    uint64_t bits = 0;

    for (int i = 0; p && i < 8; i++)
        bits = bits << 8 | p[i];
    if (v)
        memcpy(&v->real, &bits, sizeof bits);
    return push(m, v);
}

/* ---- names ---- */

static int64_t at_most(int64_t n)
{
    return n < 100 ? n : 100;
}

static int refuse_name(struct machine *m, const char *module, int64_t module_len,
                       const char *name, int64_t name_len)
{
    struct strbuf sb = STRBUF_INIT;

    utf8_show(&sb, module, at_most(module_len));
    strbuf_putc(&sb, '.');
    utf8_show(&sb, name, at_most(name_len));
    refuse(m,
           "asks for %s, which a file of tensors does not need; nothing of it was run, "
           "and nothing is read",
           strbuf_text(&sb));
    strbuf_release(&sb);
    return -1;
}

static int push_name(struct machine *m, const char *module, int64_t module_len,
                     const char *name, int64_t name_len)
{
    struct pickle *p = node(m, PICKLE_NAME);

    for (int i = 0; p && m->names[i]; i++) {
        const char *known = m->names[i];
        if ((int64_t)strlen(known) == module_len + 1 + name_len &&
            !memcmp(known, module, (size_t)module_len) && known[module_len] == '.' &&
            !memcmp(known + module_len + 1, name, (size_t)name_len)) {
            p->text = known;
            p->len = (int64_t)strlen(known);
            return push(m, p);
        }
    }
    return p ? refuse_name(m, module, module_len, name, name_len) : -1;
}

/* The rest of a line. */
static const char *take_line(struct machine *m, int64_t *n)
{
    const unsigned char *p = m->data + m->at;
    const unsigned char *end = memchr(p, '\n', (size_t)(m->len - m->at));

    if (!end) {
        refuse(m, "the pickle is cut off");
        return NULL;
    }
    *n = end - p;
    m->at += *n + 1;
    return (const char *)p;
}

static int read_global(struct machine *m)
{
    int64_t module_len = 0, name_len = 0;
    const char *module = take_line(m, &module_len);
    const char *name = module ? take_line(m, &name_len) : NULL;

    return name ? push_name(m, module, module_len, name, name_len) : -1;
}

static int read_stack_global(struct machine *m)
{
    struct pickle *name = pop(m), *module = name ? pop(m) : NULL;

    if (!module)
        return -1;
    if (name->kind != PICKLE_TEXT || module->kind != PICKLE_TEXT)
        return refuse(m, "a name is %s", pickle_kind_names[name->kind]);
    return push_name(m, module->text, module->len, name->text, name->len);
}

/* ---- memo ---- */

/* Python numbers what it keeps from 0 without gaps. */
static int keep(struct machine *m, uint64_t at)
{
    struct pickle *p = top(m);
    void *array = m->memo;

    if (!p)
        return -1;
    if (at > (uint64_t)m->n_memo)
        return refuse(m, "keeps value %" PRIu64 " after %" PRId64, at, m->n_memo);
    if (at < (uint64_t)m->n_memo) {
        m->memo[at] = p;
        return 0;
    }
    if (mem_grow(&array, m->n_memo, &m->memo_cap, sizeof *m->memo, m->err))
        return -1;
    m->memo = array;
    m->memo[m->n_memo++] = p;
    return 0;
}

static int recall(struct machine *m, uint64_t at)
{
    if (at >= (uint64_t)m->n_memo)
        return refuse(m, "asks for value %" PRIu64 " of %" PRId64 " kept", at, m->n_memo);
    return push(m, m->memo[at]);
}

/* ---- containers ---- */

/* A tuple of the values from `begin` up. */
static int make_tuple(struct machine *m, int64_t begin)
{
    struct pickle *p = node(m, PICKLE_TUPLE);
    int64_t n = m->depth - begin;

    if (!p)
        return -1;
    p->item = arena_alloc(m->arena, (n ? n : 1) * (int64_t)sizeof(struct pickle *));
    if (!p->item)
        return arena_failed(m->arena, m->err);
    if (n > 0)
        memcpy(p->item, m->stack + begin, (size_t)n * sizeof(struct pickle *));
    p->n = p->capacity = n;
    m->depth = begin;
    return push(m, p);
}

static int make_marked_tuple(struct machine *m)
{
    int64_t begin = 0;

    return pop_mark(m, &begin) ? -1 : make_tuple(m, begin);
}

static int make_short_tuple(struct machine *m, int64_t n)
{
    if (m->depth - floor_of(m) < n)
        return refuse(m, "takes a value from an empty stack");
    return make_tuple(m, m->depth - n);
}

static bool is_ordered_dict(const struct pickle *p)
{
    const struct pickle *args = pickle_call(p, "collections.OrderedDict", 0);

    return args && args->n == 0;
}

/* The values from `begin` up go into the container below them. */
static int fill(struct machine *m, int64_t begin, bool pairs)
{
    struct pickle *to = begin > floor_of(m) ? m->stack[begin - 1] : NULL;

    if (!to)
        return refuse(m, "takes a value from an empty stack");
    if (pairs ? to->kind != PICKLE_DICT && !is_ordered_dict(to) : to->kind != PICKLE_LIST)
        return refuse(m, "puts values into %s", pickle_kind_names[to->kind]);
    if (pairs && (m->depth - begin) % 2 != 0)
        return refuse(m, "puts a key without a value into a dictionary");
    for (int64_t i = begin; i < m->depth; i++)
        if (append(m, to, m->stack[i]))
            return -1;
    m->depth = begin;
    return 0;
}

static int fill_marked(struct machine *m, bool pairs)
{
    int64_t begin = 0;

    return pop_mark(m, &begin) ? -1 : fill(m, begin, pairs);
}

static int fill_last(struct machine *m, int64_t n, bool pairs)
{
    if (m->depth - floor_of(m) < n)
        return refuse(m, "takes a value from an empty stack");
    return fill(m, m->depth - n, pairs);
}

/* A call is kept as a call. */
static int reduce(struct machine *m)
{
    struct pickle *args = pop(m), *what = args ? pop(m) : NULL;
    struct pickle *p = what ? node(m, PICKLE_CALL) : NULL;

    if (!p)
        return -1;
    if (what->kind != PICKLE_NAME || args->kind != PICKLE_TUPLE)
        return refuse(m, "calls %s with %s", pickle_kind_names[what->kind],
                      pickle_kind_names[args->kind]);
    if (append(m, p, what) || append(m, p, args))
        return -1;
    return push(m, p);
}

/* An object's attributes: of a dictionary of tensors, only notes ("_metadata"). */
static int build(struct machine *m)
{
    struct pickle *state = pop(m), *to = state ? top(m) : NULL;

    if (!to)
        return -1;
    if (!is_ordered_dict(to) || state->kind != PICKLE_DICT)
        return refuse(m, "gives attributes to %s", pickle_kind_names[to->kind]);
    return 0;
}

static int hold(struct machine *m)
{
    struct pickle *id = pop(m), *p = id ? node(m, PICKLE_HELD) : NULL;

    if (!p || append(m, p, id) || append(m, m->held, p))
        return -1;
    return push(m, p);
}

/* ---- the opcodes ---- */

static int with_number(struct machine *m, int bytes,
                       int (*act)(struct machine *m, uint64_t n))
{
    uint64_t n;

    return take_number(m, bytes, &n) ? -1 : act(m, n);
}

static int small_int(struct machine *m, uint64_t n)
{
    return push_int(m, PICKLE_INT, (int64_t)n);
}

static int signed_int(struct machine *m, uint64_t n)
{
    return push_int(m, PICKLE_INT, (int32_t)(uint32_t)n);
}

static int protocol(struct machine *m, uint64_t n)
{
    return n >= 2 && n <= 5
               ? 0
               : refuse(m, "protocol %" PRIu64 " of pickle; 2 to 5 are read", n);
}

static int frame(struct machine *m, uint64_t n)
{
    (void)n; /* only a hint for reading ahead */
    (void)m;
    return 0;
}

static int drop(struct machine *m)
{
    return pop(m) ? 0 : -1;
}

/* One opcode other than STOP. */
static int step(struct machine *m, unsigned char op)
{
    switch (op) {
    // clang-format off
    case 0x80: return with_number(m, 1, protocol);
    case 0x95: return with_number(m, 8, frame);
    case '(':  return push_mark(m);
    case '0':  return drop(m);
    case 'N':  return push(m, node(m, PICKLE_NONE));
    case 0x88: return push_int(m, PICKLE_BOOL, 1);
    case 0x89: return push_int(m, PICKLE_BOOL, 0);
    case 'K':  return with_number(m, 1, small_int);
    case 'M':  return with_number(m, 2, small_int);
    case 'J':  return with_number(m, 4, signed_int);
    case 0x8a: return push_long(m, 1);
    case 0x8b: return push_long(m, 4);
    case 'G':  return push_real(m);
    case 'X':  return push_text(m, PICKLE_TEXT, 4);
    case 0x8c: return push_text(m, PICKLE_TEXT, 1);
    case 0x8d: return push_text(m, PICKLE_TEXT, 8);
    case 'U':  return push_text(m, PICKLE_TEXT, 1); /* texts of Python 2 */
    case 'T':  return push_text(m, PICKLE_TEXT, 4);
    case 'C':  return push_text(m, PICKLE_BYTES, 1);
    case 'B':  return push_text(m, PICKLE_BYTES, 4);
    case 0x8e: return push_text(m, PICKLE_BYTES, 8);
    case ')':  return make_short_tuple(m, 0);
    case 0x85: return make_short_tuple(m, 1);
    case 0x86: return make_short_tuple(m, 2);
    case 0x87: return make_short_tuple(m, 3);
    case 't':  return make_marked_tuple(m);
    case ']':  return push(m, node(m, PICKLE_LIST));
    case 'a':  return fill_last(m, 1, false);
    case 'e':  return fill_marked(m, false);
    case '}':  return push(m, node(m, PICKLE_DICT));
    case 's':  return fill_last(m, 2, true);
    case 'u':  return fill_marked(m, true);
    case 'q':  return with_number(m, 1, keep);
    case 'r':  return with_number(m, 4, keep);
    case 0x94: return keep(m, (uint64_t)m->n_memo);
    case 'h':  return with_number(m, 1, recall);
    case 'j':  return with_number(m, 4, recall);
    case 'c':  return read_global(m);
    case 0x93: return read_stack_global(m);
    case 'R':  return reduce(m);
    case 'b':  return build(m);
    case 'Q':  return hold(m);
    default:   return refuse(m, "opcode 0x%02x, which a file of tensors does not need", op);
        // clang-format on
    }
}

static const struct pickle *run(struct machine *m)
{
    m->held = node(m, PICKLE_LIST);
    if (!m->held)
        return NULL;
    for (;;) {
        m->op_at = m->at;
        const unsigned char *op = take(m, 1);
        if (!op)
            return NULL;
        if (*op == '.')
            break;
        if (step(m, *op))
            return NULL;
    }
    if (m->n_marks > 0 || m->depth != 1) {
        refuse(m, "ends with %" PRId64 " values in place of one", m->depth);
        return NULL;
    }
    return m->stack[0];
}

const struct pickle *pickle_read(const unsigned char *data, int64_t len, int64_t *used,
                                 const char *name, const char *const *names,
                                 struct pickle **held, struct arena *arena,
                                 struct err *err)
{
    struct machine m = {.data = data,
                        .len = len,
                        .name = name,
                        .names = names,
                        .arena = arena,
                        .err = err};
    const struct pickle *p = run(&m);

    if (used)
        *used = m.at;
    if (held)
        *held = m.held;
    free(m.mark);
    free(m.memo);
    free(m.stack);
    return p;
}

int64_t pickle_pairs(const struct pickle *p, int64_t *first)
{
    *first = p->kind == PICKLE_DICT ? 0 : 2;
    if (p->kind != PICKLE_DICT && !is_ordered_dict(p))
        return -1;
    return (p->n - *first) / 2;
}

const struct pickle *pickle_call(const struct pickle *p, const char *name, int64_t args)
{
    if (p->kind != PICKLE_CALL || strcmp(p->item[0]->text, name) != 0 ||
        p->item[1]->n < args)
        return NULL;
    return p->item[1];
}
