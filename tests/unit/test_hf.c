#include "check.h"

#include "retort/file.h"
#include "retort/hf.h"
#include "retort/json.h"

#define SIZES                                                                            \
    "\"model_type\": \"bert\", \"num_hidden_layers\": 2, \"hidden_size\": 8, "           \
    "\"num_attention_heads\": 4, \"intermediate_size\": 16, \"vocab_size\": 10"

static char dir[] = "/tmp/retort-hf-XXXXXX";
static struct arena *arena;

static int setup(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    arena = arena_new(&err);
    return arena && mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    arena_free(arena);
    return file_remove(dir, &err);
}

static int parse(struct hf_config *cfg, const char *text, struct err *err)
{
    return hf_config_parse(cfg, text, (int64_t)strlen(text), "config.json", arena, err);
}

static void refused(const char *text, const char *part)
{
    struct err err = ERR_INIT;
    struct hf_config cfg;

    assert_fails(parse(&cfg, text, &err), &err, ERR_INPUT, part);
}

static void put(const char *name, const char *text)
{
    struct err err = ERR_INIT;
    char *path = path_join(dir, name, &err);

    assert_ok(file_write(path, text, (int64_t)strlen(text), &err), &err);
    free(path);
}

static void put_tensor(const char *file, const char *name, float x)
{
    struct err err = ERR_INIT;
    char *path = path_join(dir, file, &err);
    const struct safetensors_entry e = {name, DT_F32, SHAPE(1), 1, &x};

    assert_ok(safetensors_write(path, &e, 1, &err), &err);
    free(path);
}

static void take(const char *name)
{
    struct err err = ERR_INIT;
    char *path = path_join(dir, name, &err);

    assert_ok(file_remove(path, &err), &err);
    free(path);
}

static void absent_members_are_the_defaults_of_transformers(void **state)
{
    struct err err = ERR_INIT;
    struct hf_config cfg;

    assert_ok(parse(&cfg, "{" SIZES "}", &err), &err);
    assert_int_equal(cfg.layers, 2);
    assert_int_equal(cfg.width, 8);
    assert_int_equal(cfg.heads, 4);
    assert_int_equal(cfg.ffn, 16);
    assert_int_equal(cfg.vocab, 10);
    assert_int_equal(cfg.positions, 512);
    assert_int_equal(cfg.types, 2);
    assert_true(cfg.eps == 1e-12);
    assert_true(cfg.dropout == 0.1);
    assert_true(cfg.attention_dropout == 0.1);
    assert_true(cfg.classifier_dropout == -1);
    assert_true(cfg.init_range == 0.02);
    assert_int_equal(cfg.pad_id, 0);
    assert_int_equal(cfg.activation, HF_GELU);
    assert_int_equal(cfg.labels, 0);
    assert_null(cfg.label_names);
    assert_null(cfg.architecture);
    assert_true(cfg.lower_case);
    assert_int_equal(cfg.heads_kept[1], 4);
    assert_null(cfg.head_ids[1]);
    assert_int_equal(cfg.ffn_kept[1], 16);
    (void)state;
}

static void decoder(struct hf_config *cfg, const char *json)
{
    struct err err = ERR_INIT;
    struct hf_config first;
    struct strbuf sb = STRBUF_INIT;
    assert_ok(hf_config_parse(&first, json, (int64_t)strlen(json), "c", arena, &err),
              &err);
    assert_ok(hf_config_write(&first, &sb, &err), &err);
    assert_ok(hf_config_parse(cfg, sb.text, (int64_t)sb.len, "again", arena, &err), &err);
    struct strbuf again = STRBUF_INIT;
    assert_ok(hf_config_write(cfg, &again, &err), &err);
    assert_string_equal(sb.text, again.text);
    strbuf_release(&again);
    strbuf_release(&sb);
}

static void decoders_are_read_and_written(void **state)
{
    (void)state;
    struct hf_config c;
    decoder(&c,
            "{\"model_type\": \"gpt2\", \"n_layer\": 3, \"n_embd\": 12, \"n_head\": 4, "
            "\"n_positions\": 64, \"vocab_size\": 100, \"n_inner\": null, "
            "\"eos_token_id\": 7}");
    assert_int_equal(c.arch, HF_GPT2);
    assert_int_equal(c.ffn, 48);
    assert_int_equal(c.head_dim, 3);
    assert_int_equal(c.eos_id, 7);
    assert_int_equal(c.bos_id, -1);
    assert_int_equal(c.activation, HF_GELU_NEW);
    assert_true(c.tied && c.eps == 1e-5 && c.dropout == 0.1);
    assert_int_equal(hf_heads(&c, 2), 4);
    decoder(&c,
            "{\"model_type\": \"gpt_neo\", \"num_layers\": 4, \"hidden_size\": 12, "
            "\"num_heads\": 4, "
            "\"max_position_embeddings\": 64, \"vocab_size\": 100, \"window_size\": 16, "
            "\"attention_types\": [[[\"global\", \"local\"], 1], [[\"local\"], 2]]}");
    assert_int_equal(c.window, 16);
    assert_false(c.local[0]);
    assert_true(c.local[1] && c.local[2] && c.local[3]);
    decoder(
        &c,
        "{\"model_type\": \"llama\", \"num_hidden_layers\": 2, \"hidden_size\": 12, "
        "\"num_attention_heads\": 6, \"num_key_value_heads\": 2, \"intermediate_size\": "
        "20, "
        "\"vocab_size\": 100, \"eos_token_id\": [2, 3], "
        "\"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 100000.0}}");
    assert_int_equal(c.kv_heads, 2);
    assert_int_equal(c.eos_id, 2);
    assert_true(c.rope_theta == 100000 && !c.tied && c.eps == 1e-6);
}

#define LLAMA                                                                            \
    "\"model_type\": \"llama\", \"num_hidden_layers\": 2, \"hidden_size\": 12, "         \
    "\"num_attention_heads\": 6, \"intermediate_size\": 20, \"vocab_size\": 100"

static void what_a_decoder_cannot_be_is_refused(void **state)
{
    (void)state;
    refused("{\"model_type\": \"gpt2\"}", "\"n_layer\" is missing");
    refused("{" LLAMA ", \"num_key_value_heads\": 4}", "6 heads do not divide among 4");
    refused("{" LLAMA ", \"head_dim\": 3}", "an even head_dim");
    refused("{" LLAMA ", \"rope_scaling\": {\"type\": \"linear\"}}",
            "\"rope_scaling\" is not supported");
    refused("{" LLAMA ", \"rope_parameters\": {\"rope_type\": \"yarn\"}}",
            "\"rope_type\" is yarn");
    refused("{" LLAMA ", \"attention_bias\": true}", "\"attention_bias\" is not false");
    refused("{" LLAMA ", \"tie_word_embeddings\": 1}", "should be true or false");
    refused("{\"model_type\": \"gpt_neo\", \"num_layers\": 2, \"hidden_size\": 12, "
            "\"num_heads\": 4, "
            "\"max_position_embeddings\": 64, \"vocab_size\": 100, "
            "\"attention_types\": [[[\"global\"], 3]]}",
            "for 2 layers in all");
}

static void what_changes_numbers_unseen_is_refused(void **state)
{
    refused("[1]", "an object, not an array");
    refused("{", "config.json:1:2: the text ends");
    refused("{\"model_type\": \"gpt9\"}", "config.json:1:16: \"model_type\" is gpt9");
    refused("{" SIZES ", \"hidden_act\": \"gelu_new\"}", "\"hidden_act\" is gelu_new");
    refused("{" SIZES ", \"position_embedding_type\": \"relative_key\"}", "relative_key");
    refused("{" SIZES ", \"is_decoder\": true}", "is_decoder");
    refused("{" SIZES ", \"add_cross_attention\": 1}", "add_cross_attention");
    (void)state;
}

static void sizes_are_bounded(void **state)
{
    refused("{\"model_type\": \"bert\"}", "\"num_hidden_layers\" is missing");
    refused("{" SIZES ", \"max_position_embeddings\": 0}", "from 1 to");
    refused("{" SIZES ", \"max_position_embeddings\": 1e15}", "from 1 to");
    refused("{" SIZES ", \"type_vocab_size\": 2.5}", "whole number");
    refused("{" SIZES ", \"type_vocab_size\": \"2\"}", "whole number");
    refused("{" SIZES ", \"pad_token_id\": 10}", "from 0 to 9");
    refused("{" SIZES ", \"hidden_dropout_prob\": 1}", "from 0 to 0.999");
    refused("{" SIZES ", \"layer_norm_eps\": -1}", "layer_norm_eps");
    refused("{" SIZES ", \"initializer_range\": \"x\"}", "initializer_range");
    refused(
        "{\"num_hidden_layers\": 257, \"hidden_size\": 8, \"num_attention_heads\": 4, "
        "\"intermediate_size\": 16, \"vocab_size\": 10}",
        "from 1 to 256");
    refused("{\"num_hidden_layers\": 1, \"hidden_size\": 9, \"num_attention_heads\": 4, "
            "\"intermediate_size\": 16, \"vocab_size\": 10}",
            "not a multiple of the 4 heads");
    (void)state;
}

static void removed_heads_and_neurons_are_read(void **state)
{
    struct err err = ERR_INIT;
    struct hf_config cfg;

    assert_ok(parse(&cfg,
                    "{" SIZES
                    ", \"pruned_heads\": {\"1\": [2, 0, 2], \"0\": [0, 1, 2, 3]}, "
                    "\"retort_ffn\": [16, 5]}",
                    &err),
              &err);
    assert_int_equal(cfg.heads_kept[0], 0);
    assert_non_null(cfg.head_ids[0]);
    assert_int_equal(cfg.heads_kept[1], 2);
    assert_int_equal(cfg.head_ids[1][0], 1);
    assert_int_equal(cfg.head_ids[1][1], 3);
    assert_int_equal(cfg.ffn_kept[0], 16);
    assert_int_equal(cfg.ffn_kept[1], 5);
    refused("{" SIZES ", \"pruned_heads\": {\"2\": [0]}}",
            "\"2\" is no layer from 0 to 1");
    refused("{" SIZES ", \"pruned_heads\": {\"01\": [0]}}", "\"01\" is no layer");
    refused("{" SIZES ", \"pruned_heads\": {\"0\": [4]}}", "no number from 0 to 3");
    refused("{" SIZES ", \"pruned_heads\": {\"0\": [-1]}}", "no number from 0 to 3");
    refused("{" SIZES ", \"pruned_heads\": {\"0\": 1}}", "array");
    refused("{" SIZES ", \"pruned_heads\": [1]}", "object");
    refused("{" SIZES ", \"retort_ffn\": [16]}", "array of 2 sizes");
    refused("{" SIZES ", \"retort_ffn\": [16, 17]}", "from 0 to 16");
    (void)state;
}

static void labels_are_read(void **state)
{
    struct err err = ERR_INIT;
    struct hf_config cfg;

    assert_ok(parse(&cfg,
                    "{" SIZES ", \"architectures\": [\"BertForSequenceClassification\"], "
                    "\"id2label\": {\"1\": \"yes\", \"0\": \"no\", \"2\": \"?\"}, "
                    "\"problem_type\": \"regression\"}",
                    &err),
              &err);
    assert_int_equal(cfg.labels, 3);
    assert_string_equal(cfg.label_names[0], "no");
    assert_string_equal(cfg.label_names[2], "?");
    assert_string_equal(cfg.problem, "regression");
    assert_string_equal(cfg.architecture, "BertForSequenceClassification");
    assert_ok(parse(&cfg,
                    "{" SIZES ", \"architectures\": [\"BertForSequenceClassification\"]}",
                    &err),
              &err);
    assert_int_equal(cfg.labels, 2);
    refused("{" SIZES ", \"id2label\": {\"0\": \"a\", \"2\": \"b\"}}",
            "no label from 0 to 1");
    refused("{" SIZES ", \"id2label\": {\"0\": 1}}", "a string");
    refused("{" SIZES ", \"architectures\": \"Bert\"}", "array of names");
    (void)state;
}

static void a_configuration_survives_writing(void **state)
{
    struct err err = ERR_INIT;
    struct strbuf first = STRBUF_INIT, second = STRBUF_INIT;
    struct hf_config cfg;

    assert_ok(
        parse(
            &cfg,
            "{" SIZES ", \"pruned_heads\": {\"1\": [2, 0]}, \"retort_ffn\": [16, 5], "
            "\"id2label\": {\"0\": \"same\", \"1\": \"same\"}, \"hidden_act\": \"relu\", "
            "\"classifier_dropout\": 0.3, \"architectures\": [\"BertModel\"]}",
            &err),
        &err);
    assert_ok(hf_config_write(&cfg, &first, &err), &err);
    assert_non_null(
        strstr(first.text, "\"pruned_heads\": {\n    \"1\": [\n      0,\n      2\n"));
    assert_ok(parse(&cfg, first.text, &err), &err);
    assert_int_equal(cfg.heads_kept[1], 2);
    assert_int_equal(cfg.ffn_kept[1], 5);
    assert_int_equal(cfg.activation, HF_RELU);
    assert_true(cfg.classifier_dropout == 0.3);
    assert_ok(hf_config_write(&cfg, &second, &err), &err);
    assert_string_equal(first.text, second.text);
    strbuf_release(&first);
    strbuf_release(&second);
    (void)state;
}

static void a_folder_with_one_file_opens(void **state)
{
    struct err err = ERR_INIT;
    struct hf_folder *f;
    char a[65], b[65];

    put("config.json", "{" SIZES "}");
    assert_fails(hf_open(&f, dir, &err), &err, ERR_MISSING, "no model.safetensors");
    put("pytorch_model.bin", "x");
    assert_fails(hf_open(&f, dir, &err), &err, ERR_INPUT, "no file of torch.save");
    take("pytorch_model.bin");
    put_tensor("model.safetensors", "w", 1.5f);
    assert_ok(hf_open(&f, dir, &err), &err);
    assert_null(hf_folder_text(f));
    assert_true(hf_folder_config(f)->lower_case);
    hf_close(f);
    assert_ok(hf_digest(a, dir, &err), &err);
    put("vocab.txt", "[PAD]\n");
    put("tokenizer_config.json", "{\"do_lower_case\": false}");
    assert_ok(hf_open(&f, dir, &err), &err);
    assert_int_equal(hf_folder_count(f), 1);
    assert_string_equal(hf_folder_at(f, 0)->name, "w");
    assert_ptr_equal(hf_folder_find(f, "w"), hf_folder_at(f, 0));
    assert_null(hf_folder_find(f, "v"));
    assert_string_equal(hf_folder_text(f), dir);
    assert_false(hf_folder_config(f)->lower_case);
    hf_close(f);
    assert_ok(hf_digest(b, dir, &err), &err);
    assert_string_not_equal(a, b);
    put("tokenizer_config.json", "{\"do_lower_case\": 1}");
    assert_fails(hf_open(&f, dir, &err), &err, ERR_INPUT, "do_lower_case");
    take("tokenizer_config.json");
    take("vocab.txt");
    assert_ok(hf_digest(b, dir, &err), &err);
    assert_string_equal(a, b);
    take("model.safetensors");
    assert_fails(hf_digest(b, dir, &err), &err, ERR_MISSING, "no model.safetensors");
    (void)state;
}

static void a_folder_with_shards_opens(void **state)
{
    struct err err = ERR_INIT;
    struct hf_folder *f;
    char a[65], b[65];

    put("config.json", "{" SIZES "}");
    put_tensor("m-1.safetensors", "x", 1);
    put_tensor("m-2.safetensors", "a", 2);
    put("model.safetensors.index.json",
        "{\"metadata\": {}, \"weight_map\": {\"x\": "
        "\"m-1.safetensors\", \"a\": \"m-2.safetensors\"}}");
    assert_ok(hf_open(&f, dir, &err), &err);
    assert_int_equal(hf_folder_count(f), 2);
    assert_true(*(const float *)hf_folder_find(f, "a")->data == 2);
    assert_true(*(const float *)hf_folder_find(f, "x")->data == 1);
    hf_close(f);
    assert_ok(hf_digest(a, dir, &err), &err);
    put_tensor("m-2.safetensors", "a", 3);
    assert_ok(hf_digest(b, dir, &err), &err);
    assert_string_not_equal(a, b);
    put("model.safetensors.index.json", "{\"weight_map\": {\"y\": \"m-1.safetensors\"}}");
    assert_fails(hf_open(&f, dir, &err), &err, ERR_INPUT,
                 "m-1.safetensors: tensor \"y\"");
    put("model.safetensors.index.json",
        "{\"weight_map\": {\"y\": \"../m-1.safetensors\"}}");
    assert_fails(hf_open(&f, dir, &err), &err, ERR_INPUT, "a name in this folder");
    put("model.safetensors.index.json", "{\"weight_map\": {\"y\": 3}}");
    assert_fails(hf_open(&f, dir, &err), &err, ERR_INPUT, "a name in this folder");
    put("model.safetensors.index.json",
        "{\"weight_map\": {\"y\": \"gone.safetensors\"}}");
    assert_fails(hf_open(&f, dir, &err), &err, ERR_MISSING, "gone.safetensors");
    put("model.safetensors.index.json", "{}");
    assert_fails(hf_open(&f, dir, &err), &err, ERR_INPUT, "weight_map");
    (void)state;
}

static void copy(const char *from, const char *name)
{
    struct err err = ERR_INIT;
    char *path = path_join(dir, name, &err), *text;
    int64_t len;

    assert_ok(file_read(&text, &len, from, 1 << 20, &err), &err);
    assert_ok(file_write(path, text, len, &err), &err);
    free(text);
    free(path);
}

/* safetensors come first, as in transformers; then one file, then shards. */
static void a_folder_with_pickled_weights_opens(void **state)
{
    struct err err = ERR_INIT;
    struct hf_folder *f;
    char a[65], b[65];

    take("model.safetensors.index.json");
    copy("tests/parity/fixtures/torch_bin/module.bin", "p-1.bin");
    copy("tests/parity/fixtures/torch_bin/archive.bin", "p-2.bin");
    put("pytorch_model.bin.index.json",
        "{\"weight_map\": {\"weight\": \"p-1.bin\", \"plain\": \"p-2.bin\"}}");
    assert_ok(hf_open(&f, dir, &err), &err);
    assert_int_equal(hf_folder_count(f), 2);
    assert_int_equal(hf_folder_find(f, "weight")->shape.dim[0], 3);
    assert_int_equal(hf_folder_find(f, "plain")->shape.dim[1], 4);
    hf_close(f);
    assert_ok(hf_digest(a, dir, &err), &err);
    copy("tests/parity/fixtures/torch_bin/module.bin", "pytorch_model.bin");
    assert_ok(hf_open(&f, dir, &err), &err);
    assert_null(hf_folder_find(f, "plain"));
    hf_close(f);
    assert_ok(hf_digest(b, dir, &err), &err);
    assert_string_not_equal(a, b);
    put_tensor("model.safetensors", "w", 1);
    assert_ok(hf_open(&f, dir, &err), &err);
    assert_non_null(hf_folder_find(f, "w"));
    hf_close(f);
    take("model.safetensors");
    take("pytorch_model.bin");
    put("pytorch_model.bin.index.json", "{\"weight_map\": {\"x\": \"../p-1.bin\"}}");
    assert_fails(hf_open(&f, dir, &err), &err, ERR_INPUT, "a name in this folder");
    (void)state;
}

static void a_path_that_is_no_folder_is_told(void **state)
{
    struct err err = ERR_INIT;
    struct hf_folder *f;

    assert_fails(hf_open(&f, "/nowhere", &err), &err, ERR_MISSING, "no such folder");
    assert_fails(hf_open(&f, "/dev/null", &err), &err, ERR_INPUT, "is no folder");
    (void)state;
}

static void real_checkpoints_open(void **state)
{
    static const struct {
        const char *name;
        int64_t tensors, layers;
    } models[] = {{"minilm-l6-h384", 104, 6}, {"gte-small-l12-h384", 197, 12}};
    struct err err = ERR_INIT;

    skip_without_shared();
    for (size_t i = 0; i < 2; i++) {
        char *path = mem_printf(&err, "%s/models/%s", shared_dir(), models[i].name);
        struct hf_folder *f;
        assert_ok(hf_open(&f, path, &err), &err);
        assert_int_equal(hf_folder_count(f), models[i].tensors);
        assert_int_equal(hf_folder_config(f)->layers, models[i].layers);
        const struct safetensors_entry *e =
            hf_folder_find(f, "embeddings.word_embeddings.weight");
        assert_non_null(e);
        assert_int_equal(e->dtype, DT_F16);
        assert_int_equal(e->shape.dim[0], 30522);
        assert_int_equal(e->shape.dim[1], 384);
        hf_close(f);
        free(path);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_members_are_the_defaults_of_transformers),
        cmocka_unit_test(decoders_are_read_and_written),
        cmocka_unit_test(what_a_decoder_cannot_be_is_refused),
        cmocka_unit_test(what_changes_numbers_unseen_is_refused),
        cmocka_unit_test(sizes_are_bounded),
        cmocka_unit_test(removed_heads_and_neurons_are_read),
        cmocka_unit_test(labels_are_read),
        cmocka_unit_test(a_configuration_survives_writing),
        cmocka_unit_test(a_folder_with_one_file_opens),
        cmocka_unit_test(a_folder_with_shards_opens),
        cmocka_unit_test(a_folder_with_pickled_weights_opens),
        cmocka_unit_test(a_path_that_is_no_folder_is_told),
        cmocka_unit_test(real_checkpoints_open),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
