/* Each allocation fails once while JSON, safetensors and folders are read and written. */
#include "fail_alloc.h"

#include "retort/file.h"
#include "retort/hf.h"
#include "retort/json.h"

static char dir[] = "/tmp/retort-fault-XXXXXX";

#define CONFIG                                                                           \
    "{\"model_type\": \"bert\", \"num_hidden_layers\": 2, \"hidden_size\": 8, "          \
    "\"num_attention_heads\": 4, \"intermediate_size\": 16, \"vocab_size\": 10, "        \
    "\"pruned_heads\": {\"1\": [0]}, \"id2label\": {\"0\": \"no\", \"1\": \"yes\"}}"

static int read_and_write_json(void *ctx, struct err *err)
{
    const char *text = ctx;
    struct strbuf out = STRBUF_INIT;
    struct json_doc *doc = NULL;
    struct diags *diags = diags_new(err);
    int rc = -1;

    if (!diags)
        return -1;
    doc = json_parse(text, (int64_t)strlen(text), "t.json", diags);
    if (diags_to_err(diags, err))
        goto done;
    json_canonical(json_root(doc), &out);
    json_pretty(json_root(doc), &out);
    rc = strbuf_failed(&out, err);
done:
    strbuf_release(&out);
    json_doc_free(doc);
    diags_free(diags);
    return rc;
}

static int write_tensors(void *ctx, struct err *err)
{
    static const float x[4] = {1, 2, 3, 4};
    const struct safetensors_entry e[] = {
        {.name = "a", .dtype = DT_F32, .shape = SHAPE(2, 2), .count = 4, .data = x},
        {.name = "b", .dtype = DT_F32, .shape = SHAPE(4), .count = 4, .data = x}};
    return safetensors_write(ctx, e, 2, err);
}

static int open_folder(void *ctx, struct err *err)
{
    struct strbuf out = STRBUF_INIT;
    struct hf_folder *f = NULL;
    char hex[65];
    int rc = hf_open(&f, ctx, err);

    if (rc == 0)
        rc = hf_digest(hex, ctx, err);
    if (rc == 0)
        rc = hf_config_write(hf_folder_config(f), &out, err);
    strbuf_release(&out);
    hf_close(f);
    return rc;
}

static void put(const char *name, const char *text)
{
    struct err err = ERR_INIT;
    char *path = path_join(dir, name, &err);

    assert_ok(file_write(path, text, (int64_t)strlen(text), &err), &err);
    free(path);
}

static void json_survives_each_failing_allocation(void **state)
{
    char text[] =
        "{\"a\": [1, 2.5, \"x\\u00e4\", null, {\"b\": true}], \"c\": {\"d\": []}}";

    (void)state;
    fail_each_alloc(read_and_write_json, text);
}

static void folders_survive_each_failing_allocation(void **state)
{
    struct err err = ERR_INIT;
    char *path = path_join(dir, "model.safetensors", &err);

    (void)state;
    fail_each_alloc(write_tensors, path);
    free(path);
    put("config.json", CONFIG);
    put("vocab.txt", "[PAD]\n");
    put("tokenizer_config.json", "{\"do_lower_case\": true}");
    fail_each_alloc(open_folder, dir);
}

static void shards_survive_each_failing_allocation(void **state)
{
    struct err err = ERR_INIT;
    char *single = path_join(dir, "model.safetensors", &err);
    char *shard = path_join(dir, "m-1.safetensors", &err);

    (void)state;
    assert_int_equal(rename(single, shard), 0);
    free(single);
    free(shard);
    put("model.safetensors.index.json",
        "{\"weight_map\": {\"a\": \"m-1.safetensors\", \"b\": \"m-1.safetensors\"}}");
    fail_each_alloc(open_folder, dir);
}

/* Both forms of torch.save, one of them as the only shard of an index. */
static void pickled_weights_survive_each_failing_allocation(void **state)
{
    static const char *const files[] = {"archive.bin", "old.bin"};
    struct err err = ERR_INIT;
    char *shard = path_join(dir, "m-1.bin", &err);
    char *index = path_join(dir, "model.safetensors.index.json", &err);

    (void)state;
    assert_ok(file_remove(index, &err), &err);
    put("pytorch_model.bin.index.json",
        "{\"weight_map\": {\"plain\": \"m-1.bin\", \"cube\": \"m-1.bin\"}}");
    for (size_t i = 0; i < 2; i++) {
        char *text, *path = path_join("tests/parity/fixtures/torch_bin", files[i], &err);
        int64_t len;
        assert_ok(file_read(&text, &len, path, 1 << 20, &err), &err);
        assert_ok(file_write(shard, text, len, &err), &err);
        free(text);
        free(path);
        fail_each_alloc(open_folder, dir);
    }
    free(index);
    free(shard);
}

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    return file_remove(dir, &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_survives_each_failing_allocation),
        cmocka_unit_test(folders_survive_each_failing_allocation),
        cmocka_unit_test(shards_survive_each_failing_allocation),
        cmocka_unit_test(pickled_weights_survive_each_failing_allocation),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
