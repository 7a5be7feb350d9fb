/*
 * Catalogs and labels from strangers: lines of fields, which get a right checksum each
 * here. Whatever they say, the store lists what is there.
 */
#include "replay.h"

#include "../../runner/store/internal.h"
#include "small_dir.h"

/* Each line with its CRC in front, as the store writes them. */
static void put_lines(const char *name, const uint8_t *data, size_t size)
{
    struct strbuf sb = STRBUF_INIT;
    char path[96];
    const char *p = (const char *)data, *end = p + size;

    while (p < end) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((nl ? nl : end) - p);
        strbuf_printf(&sb, "%08x\t", (unsigned)crc32c(0, p, n));
        strbuf_add(&sb, p, n);
        if (nl)
            strbuf_putc(&sb, '\n');
        p += n + 1;
    }
    snprintf(path, sizeof path, "%s/%s", fuzz_dir(), name);
    put_file(path, strbuf_text(&sb), sb.len);
    strbuf_release(&sb);
}

/* A run that is there and is no run: the catalog may say what it likes of it. */
static void make_run(void)
{
    static const char id[] =
        "aa00000000000000000000000000000000000000000000000000000000000001";
    struct err err = ERR_INIT;
    char path[256];

    snprintf(path, sizeof path, "%s/aa/%s", fuzz_dir(), id);
    if (file_mkdirs(path, &err))
        BUG("%s", err.text);
    snprintf(path, sizeof path, "%s/aa/%s/run.h5", fuzz_dir(), id);
    put_file(path, "no run", 6);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    struct store *store = NULL;
    struct run_info *list = NULL;
    int64_t n;
    char id[65], *notes = NULL;

    if (!small_dir[0]) {
        fuzz_dir();
        make_run();
    }
    put_lines("catalog", data, size);
    put_lines("labels", data, size);
    if (store_open(&store, fuzz_dir(), false, &err) || store_list(store, &list, &n, &err))
        BUG("the store cannot be listed: %s", err.text);
    if (n != 1)
        BUG("%lld runs are listed", (long long)n);
    if (store_resolve(store, "best", id, &err) && !err_is_set(&err))
        BUG("not found without an error");
    err_clear(&err);
    if (store_notes(store, list[0].id, &notes, &err))
        BUG("the notes cannot be read: %s", err.text);
    free(notes);
    free(list);
    store_close(store);
    return 0;
}

FUZZ_MAIN("catalog")
