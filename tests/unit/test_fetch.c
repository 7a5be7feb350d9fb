#include "check.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "http/server.h"
#include "retort/fetch.h"
#include "retort/file.h"
#include "retort/hash.h"
#include "retort/hf.h"
#include "retort/pins.h"

#define NAME "hf:org/small"
#define TOKEN "hf_secretOfTheTest"
#define CONFIG                                                                           \
    "{\"model_type\": \"bert\", \"num_hidden_layers\": 2, \"hidden_size\": 8, "          \
    "\"num_attention_heads\": 4, \"intermediate_size\": 16, \"vocab_size\": 10}"

static struct site *site;
static char dir[64], hub[96];

/* ---- what the server has ---- */

static void put(const char *name, const char *repo, const void *data, size_t n,
                bool large)
{
    struct site_file *f = &site->file[site->n++];
    struct err err = ERR_INIT;
    char *path = path_join(dir, "made", &err);

    assert_true(n <= sizeof f->bytes);
    snprintf(f->path, sizeof f->path, "%s/%s", repo, name);
    memcpy(f->bytes, data, n);
    f->size = n;
    f->large = large;
    assert_ok(file_write(path, data, (int64_t)n, &err), &err);
    if (large)
        assert_ok(sha256_file(f->etag, path, &err), &err);
    else
        assert_ok(git_blob_digest(f->etag, path, &err), &err);
    free(path);
}

static void put_tensors(const char *name, const char *repo, const char *tensor)
{
    static float x[5000];
    struct err err = ERR_INIT;
    char *path = path_join(dir, "tensors", &err), *text;
    const struct safetensors_entry e = {tensor, DT_F32, SHAPE(5000), 5000, x};
    int64_t n;

    for (int i = 0; i < 5000; i++)
        x[i] = (float)i;
    assert_ok(safetensors_write(path, &e, 1, &err), &err);
    assert_ok(file_read(&text, &n, path, 1 << 16, &err), &err);
    put(name, repo, text, (size_t)n, true);
    free(text);
    free(path);
}

static int setup(void **state)
{
    char url[64];

    (void)state;
    snprintf(dir, sizeof dir, "/tmp/retort-fetch-XXXXXX");
    if (!mkdtemp(dir) || !(site = site_start()))
        return -1;
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", site->port);
    setenv("HF_ENDPOINT", url, 1);
    setenv("HF_TOKEN", TOKEN, 1);
    setenv("HF_HUB_DOWNLOAD_TIMEOUT", "1", 1);
    unsetenv("HF_HUB_OFFLINE");
    unsetenv("http_proxy");
    put("config.json", "org/small", CONFIG, strlen(CONFIG), false);
    put("vocab.txt", "org/small", "[PAD]\n[UNK]\n", 12, false);
    put_tensors("model.safetensors", "org/small", "w");
    return 0;
}

static int teardown(void **state)
{
    struct err err = ERR_INIT;

    (void)state;
    site_stop(site);
    return file_remove(dir, &err);
}

/* A new empty cache, and a server of this manner. */
static void begin(enum manner m)
{
    static int n;

    snprintf(hub, sizeof hub, "%s/cache%d", dir, n++);
    setenv("HF_HUB_CACHE", hub, 1);
    atomic_store(&site->manner, m);
    atomic_store(&site->requests, 0);
    atomic_store(&site->bodies, 0);
    atomic_store(&site->ranges, 0);
    atomic_store(&site->tokens, 0);
    atomic_store(&site->leaked, 0);
}

static int find(const char *name, char **path, struct err *err)
{
    const struct hub_options opt = {.download = true};

    return hub_find(path, name, &opt, err);
}

/* The model is there, whole, with the very bytes. */
static void comes(const char *name)
{
    struct err err = ERR_INIT;
    struct hf_folder *f;
    char *path, *file, hex[SHA256_HEX];

    assert_ok(find(name, &path, &err), &err);
    assert_ok(hf_open(&f, path, &err), &err);
    assert_non_null(hf_folder_find(f, "w"));
    hf_close(f);
    file = path_join(path, "model.safetensors", &err);
    assert_ok(sha256_file(hex, file, &err), &err);
    assert_string_equal(hex, site->file[2].etag);
    free(file);
    free(path);
}

static int64_t blobs(void)
{
    struct err err = ERR_INIT;
    char *path = path_join(hub, "models--org--small/blobs", &err), **list;
    int64_t n = 0;

    if (file_list(&list, path, &err) == 0) {
        for (; list[n]; n++)
            assert_null(strstr(list[n], "incomplete"));
        file_list_free(list);
    }
    free(path);
    return n;
}

/* It fails in these words, and nothing that looks whole is left. */
static void fails(const char *name, enum err_code code, const char *part)
{
    struct err err = ERR_INIT;
    char *path, *weights;

    int rc = find(name, &path, &err);
    assert_null(strstr(err.text, TOKEN));
    assert_fails(rc, &err, code, part);
    assert_null(path);
    weights = mem_printf(&err, "%s/models--org--small/blobs/%s", hub, site->file[2].etag);
    assert_false(file_exists(weights));
    free(weights);
}

/* ---- tests ---- */

static void a_model_comes_into_the_cache_of_the_hub(void **state)
{
    struct err err = ERR_INIT;
    char *path, *text, link[256], *at;
    ssize_t n;

    (void)state;
    begin(WELL);
    comes(NAME);
    assert_int_equal(blobs(), 3);
    assert_true(atomic_load(&site->tokens) > 0);
    assert_int_equal(atomic_load(&site->leaked), 0); /* not to where it redirects */
    path = path_join(hub, "models--org--small/refs/main", &err);
    assert_ok(file_read(&text, NULL, path, 100, &err), &err);
    assert_string_equal(text, SITE_COMMIT);
    free(text);
    free(path);
    path = path_join(hub, "models--org--small/snapshots/" SITE_COMMIT "/vocab.txt", &err);
    n = readlink(path, link, sizeof link - 1);
    assert_true(n > 0);
    link[n] = '\0';
    at = mem_printf(&err, "../../blobs/%s", site->file[1].etag);
    assert_string_equal(link, at);
    free(at);
    free(path);
    atomic_store(&site->requests, 0);
    comes(NAME);
    comes(NAME "@" SITE_COMMIT);
    assert_int_equal(atomic_load(&site->requests), 0); /* the cache has it */
}

static void broken_answers_are_continued(void **state)
{
    (void)state;
    begin(CUT);
    comes(NAME);
    assert_true(atomic_load(&site->ranges) >= 1);
    begin(STALL);
    comes(NAME);
    assert_true(atomic_load(&site->ranges) >= 1);
}

static void a_server_without_ranges_is_asked_for_everything_again(void **state)
{
    (void)state;
    begin(DEAF);
    comes(NAME);
}

/* What an earlier, other version of the file left behind does not get into this one. */
static void what_changed_between_two_attempts_is_begun_anew(void **state)
{
    struct err err = ERR_INIT;
    char *path;

    (void)state;
    begin(WELL);
    path = path_join(hub, "models--org--small/blobs", &err);
    assert_ok(file_mkdirs(path, &err), &err);
    free(path);
    path = mem_printf(&err, "%s/models--org--small/blobs/%s.incomplete", hub,
                      site->file[2].etag);
    assert_ok(file_write(path, "other bytes than now", 20, &err), &err);
    comes(NAME);
    assert_int_equal(blobs(), 3);
    free(path);
}

static void bytes_that_are_not_of_the_digest_are_refused(void **state)
{
    (void)state;
    begin(OTHER);
    fails(NAME, ERR_IO, "came twice with other bytes");
    assert_int_equal(blobs(), 0);
    atomic_store(&site->manner, WELL);
    comes(NAME);
}

static void servers_that_lie_or_fail_are_told(void **state)
{
    (void)state;
    begin(MORE);
    fails(NAME, ERR_IO, "sends more than");
    begin(FAIL);
    fails(NAME, ERR_IO, "the server answers 500");
    begin(LOOP);
    fails(NAME, ERR_IO, "more than 5 redirects");
    begin(NO_HASH);
    fails(NAME, ERR_IO, "gives no digest of model.safetensors");
    begin(GATED);
    fails(NAME, ERR_MISSING, "set HF_TOKEN");
    begin(WELL);
    fails("hf:org/other", ERR_MISSING, "no such model, revision or config.json");
}

static void a_server_that_never_sends_the_last_byte_is_given_up(void **state)
{
    (void)state;
    begin(LIE);
    fails(NAME, ERR_IO, "1 bytes remaining"); /* each time half of what is left came */
}

static void names_that_are_no_models_are_refused(void **state)
{
    static const char *const names[] = {
        "hf:",         "hf:..",      "hf:../x",     "hf:a/../b",  "hf:a/b/c",
        "hf:/etc",     "hf:a/b@",    "hf:a/b@../x", "hf:a/.b",    "hf:a b/c",
        "hf:a/b@x/..", "hf:a/b?x=1", "hf:a/-b",     "hf:a/b@a//b"};

    (void)state;
    begin(WELL);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        fails(names[i], ERR_INPUT, "names no model");
    assert_int_equal(atomic_load(&site->requests), 0);
    assert_false(file_exists(hub));
}

static void offline_is_said(void **state)
{
    (void)state;
    begin(WELL);
    setenv("HF_HUB_OFFLINE", "1", 1);
    fails(NAME, ERR_MISSING, "HF_HUB_OFFLINE forbids fetching it");
    assert_int_equal(atomic_load(&site->requests), 0);
    unsetenv("HF_HUB_OFFLINE");
}

static void a_plan_tells_the_size_and_fetches_no_weights(void **state)
{
    const struct hub_options opt = {.download = false};
    struct err err = ERR_INIT;
    char *path;

    (void)state;
    begin(WELL);
    assert_fails(hub_find(&path, NAME, &opt, &err), &err, ERR_MISSING,
                 "will download 3 files, 0.0 MB (commit 0123456789)");
    assert_int_equal(atomic_load(&site->bodies), 0);
}

static void many_at_once_download_once(void **state)
{
    pid_t child[6];
    int status;

    (void)state;
    begin(WELL);
    for (int i = 0; i < 6; i++) {
        child[i] = fork();
        if (child[i] == 0) {
            struct err err = ERR_INIT;
            char *path;
            _exit(find(NAME, &path, &err) ? 1 : 0);
        }
    }
    for (int i = 0; i < 6; i++) {
        assert_int_equal(waitpid(child[i], &status, 0), child[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(atomic_load(&site->bodies), 3);
    assert_int_equal(blobs(), 3);
}

static void shards_come_by_their_index(void **state)
{
    static const char index[] = "{\"weight_map\": {\"a\": \"m-1.safetensors\", "
                                "\"b\": \"m-2.safetensors\"}}";
    static const char evil[] = "{\"weight_map\": {\"a\": \"../config.json\"}}";
    struct err err = ERR_INIT;
    struct hf_folder *f;
    char *path;

    (void)state;
    begin(WELL);
    put("config.json", "org/parts", CONFIG, strlen(CONFIG), false);
    put("model.safetensors.index.json", "org/parts", index, strlen(index), false);
    put_tensors("m-1.safetensors", "org/parts", "a");
    put_tensors("m-2.safetensors", "org/parts", "b");
    assert_ok(find("hf:org/parts", &path, &err), &err);
    assert_ok(hf_open(&f, path, &err), &err);
    assert_int_equal(hf_folder_count(f), 2);
    hf_close(f);
    free(path);
    put("config.json", "org/evil", CONFIG, strlen(CONFIG), false);
    put("model.safetensors.index.json", "org/evil", evil, strlen(evil), false);
    fails("hf:org/evil", ERR_INPUT, "is no name of a shard");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_comes_into_the_cache_of_the_hub),
        cmocka_unit_test(broken_answers_are_continued),
        cmocka_unit_test(a_server_without_ranges_is_asked_for_everything_again),
        cmocka_unit_test(what_changed_between_two_attempts_is_begun_anew),
        cmocka_unit_test(bytes_that_are_not_of_the_digest_are_refused),
        cmocka_unit_test(servers_that_lie_or_fail_are_told),
        cmocka_unit_test(a_server_that_never_sends_the_last_byte_is_given_up),
        cmocka_unit_test(names_that_are_no_models_are_refused),
        cmocka_unit_test(offline_is_said),
        cmocka_unit_test(a_plan_tells_the_size_and_fetches_no_weights),
        cmocka_unit_test(many_at_once_download_once),
        cmocka_unit_test(shards_come_by_their_index),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
