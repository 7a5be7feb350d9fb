/* Checkpoints of llama2.c from strangers: every tensor told of lies in the file. */
#include "replay.h"

#include "../../engine/formats/llama2c.h"
#include "retort/safetensors.h"
#include "small_dir.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    struct llama2c *m = NULL;
    struct hf_config cfg;
    char path[96];
    volatile unsigned char sum = 0;

    snprintf(path, sizeof path, "%s/model.bin", fuzz_dir());
    put_file(path, data, size);
    if (llama2c_open(&m, &cfg, path, &err)) {
        if (err.code != ERR_INPUT)
            BUG("refused as %d: %s", (int)err.code, err.text);
        return 0;
    }
    for (int64_t i = 0; i < llama2c_count(m); i++) {
        const struct safetensors_entry *e = llama2c_at(m, i);
        const unsigned char *p = e->data;
        int64_t bytes = shape_count(e->shape) * (int64_t)sizeof(float);
        for (int64_t k = 0; k < bytes; k += 997)
            sum = (unsigned char)(sum + p[k]);
        if (bytes)
            sum = (unsigned char)(sum + p[bytes - 1]);
    }
    llama2c_close(m);
    return 0;
}

FUZZ_MAIN("llama2c")
