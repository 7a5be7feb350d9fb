/* config.json from strangers: refused, or written and read again as the same. */
#include "replay.h"

#include "retort/hf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    struct arena *arena = arena_new(&err);
    struct strbuf once = STRBUF_INIT, twice = STRBUF_INIT;
    struct hf_config cfg, again;

    if (!arena)
        BUG("%s", err.text);
    if (hf_config_parse(&cfg, (const char *)data, (int64_t)size, "fuzz", arena, &err)) {
        if (err.code != ERR_INPUT)
            BUG("refused as %d: %s", (int)err.code, err.text);
    } else if (!hf_config_write(&cfg, &once, &err)) {
        if (hf_config_parse(&again, strbuf_text(&once), (int64_t)once.len, "again", arena,
                            &err) ||
            hf_config_write(&again, &twice, &err))
            BUG("what was written is not read: %s", err.text);
        if (once.len != twice.len || memcmp(once.text, twice.text, once.len) != 0)
            BUG("%s became %s", once.text, twice.text);
    }
    strbuf_release(&once);
    strbuf_release(&twice);
    arena_free(arena);
    return 0;
}

FUZZ_MAIN("hf_config")
