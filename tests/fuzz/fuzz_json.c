/* JSON from strangers: refused with an error, or read and written to the same canonical
 * text twice. */
#include "replay.h"

#include "retort/json.h"

static void write_again(const struct strbuf *first, struct err *err)
{
    struct strbuf second = STRBUF_INIT;
    struct diags *diags = diags_new(err);
    struct json_doc *doc = json_parse(first->text, (int64_t)first->len, "again", diags);

    if (!doc)
        BUG("what was written is not read: %s", first->text);
    json_canonical(json_root(doc), &second);
    if (second.len != first->len || memcmp(second.text, first->text, first->len) != 0)
        BUG("%s became %s", first->text, second.text);
    strbuf_release(&second);
    json_doc_free(doc);
    diags_free(diags);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    struct strbuf out = STRBUF_INIT;
    struct diags *diags = diags_new(&err);
    struct json_doc *doc = json_parse((const char *)data, (int64_t)size, "fuzz", diags);

    if (!doc && diags_to_err(diags, &err) != -1)
        BUG("refused without an error");
    if (doc && diags_count(diags) != 0)
        BUG("read, but with an error");
    if (doc) {
        json_pretty(json_root(doc), &out);
        strbuf_clear(&out);
        json_canonical(json_root(doc), &out);
        write_again(&out, &err);
    }
    strbuf_release(&out);
    json_doc_free(doc);
    diags_free(diags);
    return 0;
}

FUZZ_MAIN("json")
