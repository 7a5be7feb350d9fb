/* Declarations of tables from strangers: refused with an error, or read. */
#include "replay.h"

#include "retort/report.h"
#include "small_dir.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    struct table *table = NULL;
    char path[96];

    snprintf(path, sizeof path, "%s/t.table.json", fuzz_dir());
    put_file(path, data, size);
    if (table_load(&table, path, &err) && err.code != ERR_INPUT &&
        err.code != ERR_MISSING)
        BUG("refused as %d: %s", (int)err.code, err.text);
    table_free(table);
    return 0;
}

FUZZ_MAIN("table")
