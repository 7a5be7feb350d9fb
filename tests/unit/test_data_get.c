/* Data by name: from a server on the loopback that is as bad as it is told to be;
 * archives that would write where they must not. */
#include "check.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

#include "../../runner/fetch/archive.h"
#include "http/server.h"
#include "retort/fetch.h"
#include "retort/file.h"
#include "retort/hash.h"
#include "retort/task.h"

static struct site *site;
static char dir[64], data[96];
static const struct archive_limits limits = {1 << 20, 100};

/* ---- archives ---- */

struct member {
    const char *path;
    const char *text; /* NULL: zeros of `size` */
    int64_t size;
    unsigned type; /* AE_IFREG if 0 */
    const char *symlink, *hardlink;
};

static const char *archive_at(void)
{
    static char path[96];
    snprintf(path, sizeof path, "%s/archive", dir);
    return path;
}

static void put_member(struct archive *a, const struct member *m)
{
    struct archive_entry *e = archive_entry_new();
    static const char zeros[65536];
    int64_t size = m->text ? (int64_t)strlen(m->text) : m->size;

    archive_entry_set_pathname(e, m->path);
    archive_entry_set_filetype(e, m->type ? m->type : AE_IFREG);
    archive_entry_set_perm(e, 04777);
    archive_entry_set_size(e, m->symlink || m->hardlink ? 0 : size);
    if (m->symlink)
        archive_entry_set_symlink(e, m->symlink);
    if (m->hardlink)
        archive_entry_set_hardlink(e, m->hardlink);
    assert_true(archive_write_header(a, e) >= ARCHIVE_WARN);
    for (int64_t at = 0; at < size && !m->symlink && !m->hardlink;) {
        int64_t n = size - at < 65536 ? size - at : 65536;
        archive_write_data(a, m->text ? m->text + at : zeros, (size_t)n);
        at += n;
    }
    archive_entry_free(e);
}

/* Members end with a path of NULL. */
static void write_archive(bool zip, const struct member *m)
{
    struct archive *a = archive_write_new();

    if (zip) {
        archive_write_set_format_zip(a);
    } else {
        archive_write_set_format_pax_restricted(a);
        archive_write_add_filter_gzip(a);
    }
    assert_int_equal(archive_write_open_filename(a, archive_at()), ARCHIVE_OK);
    for (; m->path; m++)
        put_member(a, m);
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    archive_write_free(a);
}

static int unpack(struct err *err)
{
    char to[96];
    int rc;

    snprintf(to, sizeof to, "%s/box/in/side", dir);
    rc = archive_unpack(archive_at(), to, &limits, err);
    return rc;
}

/* Of all that lies in the test's folder, what is not below box/in/side. */
static void nothing_lies_outside(void)
{
    char path[96], **list;
    struct err err = ERR_INIT;
    static const char *const folders[][2] = {{"box", "in"}, {"box/in", "side"}};

    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, folders[i][0]);
        if (!file_exists(path))
            continue;
        assert_ok(file_list(&list, path, &err), &err);
        assert_string_equal(list[0], folders[i][1]);
        assert_null(list[1]);
        file_list_free(list);
    }
    assert_false(file_exists("/tmp/retort-evil"));
}

static void clean(void)
{
    struct err err = ERR_INIT;
    char path[96];

    snprintf(path, sizeof path, "%s/box", dir);
    assert_ok(file_remove(path, &err), &err);
}

static void refused(bool zip, const char *why, const struct member *m)
{
    struct err err = ERR_INIT;

    write_archive(zip, m);
    assert_fails(unpack(&err), &err, ERR_INPUT, why);
    nothing_lies_outside();
    clean();
}

#define MEMBERS(...)                                                                     \
    (const struct member[])                                                              \
    {                                                                                    \
        __VA_ARGS__,                                                                     \
        {                                                                                \
            .path = NULL                                                                 \
        }                                                                                \
    }

static void a_good_archive_is_unpacked_without_its_modes(void **state)
{
    struct err err = ERR_INIT;
    char path[128], *text;
    struct stat st;

    (void)state;
    for (int zip = 0; zip < 2; zip++) {
        write_archive(zip, MEMBERS({.path = "A/", .type = AE_IFDIR},
                                   {.path = "A/b.tsv", .text = "one\n"},
                                   {.path = "A/c/d", .text = ""},
                                   {.path = "__MACOSX/x", .text = "no"},
                                   {.path = "A/I\r", .text = ""}));
        assert_ok(unpack(&err), &err);
        snprintf(path, sizeof path, "%s/box/in/side/A/b.tsv", dir);
        assert_ok(file_read(&text, NULL, path, 100, &err), &err);
        assert_string_equal(text, "one\n");
        free(text);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07111, 0);
        snprintf(path, sizeof path, "%s/box/in/side/__MACOSX", dir);
        assert_false(file_exists(path));
        nothing_lies_outside();
        clean();
    }
}

static void an_archive_that_leads_out_of_its_folder_is_refused(void **state)
{
    (void)state;
    for (int zip = 0; zip < 2; zip++) {
        refused(zip, "leads out",
                MEMBERS({.path = "ok", .text = "x"}, {.path = "../evil", .text = "x"}));
        refused(zip, "leads out", MEMBERS({.path = "a/../../../evil", .text = "x"}));
        refused(zip, "leads out", MEMBERS({.path = "a/..", .type = AE_IFDIR}));
        refused(zip, "absolute", MEMBERS({.path = "/tmp/retort-evil", .text = "x"}));
        refused(zip, "absolute", MEMBERS({.path = "C:/evil", .text = "x"}));
        refused(zip, zip ? "leads out" : "backslash",
                MEMBERS({.path = "..\\evil", .text = "x"}));
        refused(zip, "empty or a dot", MEMBERS({.path = "a//b", .text = "x"}));
        refused(zip, "empty or a dot", MEMBERS({.path = "./b", .text = "x"}));
    }
}

static void links_and_devices_are_refused(void **state)
{
    (void)state;
    for (int zip = 0; zip < 2; zip++)
        refused(zip, "is a link",
                MEMBERS({.path = "l", .type = AE_IFLNK, .symlink = "../.."},
                        {.path = "l/evil", .text = "x"}));
    refused(
        false, "is a link",
        MEMBERS({.path = "a", .text = "x"}, {.path = "l", .hardlink = "/etc/passwd"}));
    refused(false, "neither a file", MEMBERS({.path = "fifo", .type = AE_IFIFO}));
    refused(false, "neither a file", MEMBERS({.path = "dev", .type = AE_IFCHR}));
}

static void bombs_are_refused_before_they_fill_the_disk(void **state)
{
    struct err err = ERR_INIT;
    char path[128];

    (void)state;
    for (int zip = 0; zip < 2; zip++) {
        refused(zip, "larger than such data", MEMBERS({.path = "b", .size = 64 << 20}));
        refused(
            zip, "larger than such data",
            MEMBERS({.path = "a", .size = 600 << 10}, {.path = "b", .size = 600 << 10}));
    }
    struct member many[200];
    char names[200][16];
    memset(many, 0, sizeof many);
    for (int i = 0; i < 199; i++) {
        snprintf(names[i], sizeof names[i], "f%d", i);
        many[i] = (struct member){.path = names[i], .text = ""};
    }
    write_archive(true, many);
    assert_fails(unpack(&err), &err, ERR_INPUT, "too many");
    snprintf(path, sizeof path, "%s/box/in/side/f150", dir);
    assert_false(file_exists(path));
    clean();
}

static void what_is_there_twice_is_refused(void **state)
{
    (void)state;
    for (int zip = 0; zip < 2; zip++) {
        refused(zip, "twice",
                MEMBERS({.path = "a/b", .text = "x"}, {.path = "a/b", .text = "y"}));
        refused(zip, "file",
                MEMBERS({.path = "a", .text = "x"}, {.path = "a/b", .text = "y"}));
        refused(zip, "",
                MEMBERS({.path = "a/b", .text = "x"}, {.path = "a", .text = "y"}));
    }
}

static void a_damaged_archive_is_a_message(void **state)
{
    struct err err = ERR_INIT;
    char *text;
    int64_t n;

    (void)state;
    for (int zip = 0; zip < 2; zip++) {
        write_archive(zip, MEMBERS({.path = "a/b", .text = "some text that is there"},
                                   {.path = "c", .text = "more"}));
        assert_ok(file_read(&text, &n, archive_at(), 1 << 16, &err), &err);
        for (int64_t i = 0; i < n; i++) {
            char *bad = malloc((size_t)n);
            memcpy(bad, text, (size_t)n);
            bad[i] = (char)~bad[i];
            assert_ok(file_write(archive_at(), bad, i % 7 ? n : i, &err), &err);
            free(bad);
            err_clear(&err);
            if (unpack(&err))
                assert_true(err.text[0] != '\0');
            err_clear(&err);
            nothing_lies_outside();
            clean();
        }
        free(text);
    }
}

/* ---- from a server ---- */

static char digest[SHA256_HEX];

/* A small WNLI: two for training, one each to test. */
static void serve_wnli(void)
{
    struct site_file *f = &site->file[0];
    struct err err = ERR_INIT;
    char *text;
    int64_t n;

    write_archive(true,
                  MEMBERS({.path = "WNLI/train.tsv",
                           .text = "index\tsentence1\tsentence2\tlabel\n0\ta\tb\t1\n"
                                   "1\tc\td\t0\n"},
                          {.path = "WNLI/dev.tsv",
                           .text = "index\tsentence1\tsentence2\tlabel\n0\ta\tb\t1\n"},
                          {.path = "WNLI/test.tsv",
                           .text = "index\tsentence1\tsentence2\n0\ta\tb\n"},
                          {.path = "WNLI/filler", .size = 30000}));
    assert_ok(file_read(&text, &n, archive_at(), sizeof f->bytes, &err), &err);
    assert_ok(sha256_file(digest, archive_at(), &err), &err);
    memset(f, 0, sizeof *f);
    snprintf(f->path, sizeof f->path, "/files.test/glue/WNLI.zip");
    memcpy(f->bytes, text, (size_t)n);
    f->size = (size_t)n;
    site->n = 1;
    free(text);
}

static struct data_source wnli(void)
{
    return (struct data_source){
        .name = "glue/wnli",
        .what = "a small one",
        .file = {{"https://files.test/glue/WNLI.zip", digest, (int64_t)site->file[0].size,
                  "glue/"}},
        .count = {{"glue/wnli", "train", 2},
                  {"glue/wnli", "dev", 1},
                  {"glue/wnli", "test", 1}},
        .place = {"glue/WNLI"},
        .unpacked = 1 << 20,
    };
}

static void begin(enum manner m)
{
    static int n;

    snprintf(data, sizeof data, "%s/data%d", dir, n++);
    atomic_store(&site->manner, m);
    atomic_store(&site->requests, 0);
}

static void nothing_stands(void)
{
    char path[128];

    snprintf(path, sizeof path, "%s/glue", data);
    assert_false(file_exists(path));
    snprintf(path, sizeof path, "%s/.fetch/glue-wnli/new", data);
    assert_false(file_exists(path));
}

static void data_come_whole_from_any_server_that_has_them(void **state)
{
    static const enum manner manners[] = {WELL, CUT, DEAF};
    struct data_source s = wnli();
    struct err err = ERR_INIT;
    int requests;

    (void)state;
    for (int i = 0; i < 3; i++) {
        begin(manners[i]);
        assert_int_equal(data_get(&s, data, false, &err), 0);
        assert_true(data_is_there(&s, data));
        requests = atomic_load(&site->requests);
        assert_int_equal(data_get(&s, data, false, &err), 1); /* asks nobody */
        assert_int_equal(atomic_load(&site->requests), requests);
    }
}

static void what_does_not_fit_its_digest_is_not_kept(void **state)
{
    static const enum manner manners[] = {OTHER, LOOP, FAIL};
    struct data_source s = wnli();

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct err err = ERR_INIT;
        begin(manners[i]);
        assert_int_equal(data_get(&s, data, false, &err), -1);
        assert_true(err.code == ERR_INPUT || err.code == ERR_IO);
        nothing_stands();
    }
}

static void a_first_download_is_held_to(void **state)
{
    struct data_source s = wnli();
    struct err err = ERR_INIT;
    char path[128];

    (void)state;
    s.file[0].sha256 = NULL;
    begin(WELL);
    assert_int_equal(data_get(&s, data, false, &err), 0);
    snprintf(path, sizeof path, "%s/glue/WNLI", data);
    assert_ok(file_remove(path, &err), &err);
    atomic_store(&site->manner, OTHER);
    assert_fails(data_get(&s, data, false, &err), &err, ERR_INPUT,
                 "that of the first time");
    err_clear(&err);
    atomic_store(&site->manner, WELL);
    assert_int_equal(data_get(&s, data, false, &err), 0);
}

static void examples_are_counted_before_and_after(void **state)
{
    struct data_source s = wnli();
    struct err err = ERR_INIT;

    (void)state;
    s.count[1].n = 71;
    begin(WELL);
    assert_fails(data_get(&s, data, false, &err), &err, ERR_INPUT,
                 "its dev has 1 examples; there are 71");
    nothing_stands();
    err_clear(&err);
    s.count[1].n = 1;
    assert_int_equal(data_get(&s, data, false, &err), 0);
    s.count[1].n = 71;
    assert_fails(data_get(&s, data, false, &err), &err, ERR_INPUT, "there are 71");
}

static void what_stands_there_and_is_another_thing_is_left_alone(void **state)
{
    struct data_source s = wnli();
    struct err err = ERR_INIT;
    char path[128];

    (void)state;
    begin(WELL);
    s.place[1] = "glue/MORE";
    snprintf(path, sizeof path, "%s/glue/WNLI/mine", data);
    char *folder = path_dir(path, &err);
    assert_ok(file_mkdirs(folder, &err), &err);
    free(folder);
    assert_ok(file_write(path, "x", 1, &err), &err);
    assert_fails(data_get(&s, data, false, &err), &err, ERR_INPUT, "move it away");
    assert_true(file_exists(path));
    assert_int_equal(atomic_load(&site->requests), 0);
}

static void every_source_is_a_task_and_has_what_it_needs(void **state)
{
    (void)state;
    for (const struct data_source *s = data_sources(); s->name; s++) {
        assert_non_null(task_find(s->count[0].task));
        assert_string_equal(s->count[0].task, s->name);
        assert_non_null(s->place[0]);
        for (int i = 0; i < DATA_FILES && s->file[i].url; i++) {
            assert_int_equal(strlen(s->file[i].sha256), 64);
            assert_true(s->file[i].size > 0);
        }
    }
}

/* The cut of MRPC: ids of the dev set decide, the test set is numbered and has no label.
 */
static void mrpc_is_cut_as_glue_cuts_it(void **state)
{
    const struct data_source *s = data_sources();
    struct err err = ERR_INIT;
    struct task_source src = {dir, "dev"};
    const struct task *task = task_find("glue/mrpc");
    char path[160];
    static const struct {
        const char *name, *text;
    } files[] = {
        {"msr_paraphrase_train.txt", "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n"
                                     "1\t10\t20\ta\tb\r\n0\t11\t21\tc\td\r\n"
                                     "1\t1\t120\te\tf\r\n"},
        {"msr_paraphrase_test.txt", "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"
                                    "1\t5\t6\tg\th\n"},
        {"dev_ids.tsv", "11\t21\n"},
    };

    (void)state;
    while (strcmp(s->name, "glue/mrpc") != 0)
        s++;
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/glue/MRPC", dir);
        assert_ok(file_mkdirs(path, &err), &err);
        snprintf(path, sizeof path, "%s/glue/MRPC/%s", dir, files[i].name);
        assert_ok(file_write(path, files[i].text, (int64_t)strlen(files[i].text), &err),
                  &err);
    }
    assert_ok(s->build(dir, &err), &err);
    for (int i = 0; i < 3; i++) {
        static const char *const split[] = {"dev", "train", "test"};
        struct examples *ex = examples_new(&err);
        src.split = split[i];
        assert_ok(task->load(task, &src, ex, &err), &err);
        assert_int_equal(ex->n, i == 1 ? 2 : 1);
        assert_string_equal(ex->v[0].a, i == 0 ? "c" : i == 1 ? "a" : "g");
        assert_int_equal(ex->v[0].label, i == 0 ? 0 : i == 1 ? 1 : -1);
        examples_free(ex);
    }
}

static int setup(void **state)
{
    char url[64];

    (void)state;
    snprintf(dir, sizeof dir, "/tmp/retort-data-XXXXXX");
    if (!mkdtemp(dir) || !(site = site_start()))
        return -1;
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", site->port);
    setenv("RETORT_MIRROR", url, 1);
    setenv("HF_HUB_DOWNLOAD_TIMEOUT", "1", 1);
    unsetenv("http_proxy");
    serve_wnli();
    return 0;
}

static int teardown(void **state)
{
    struct err err = ERR_INIT;

    (void)state;
    site_stop(site);
    return file_remove(dir, &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_archive_is_unpacked_without_its_modes),
        cmocka_unit_test(an_archive_that_leads_out_of_its_folder_is_refused),
        cmocka_unit_test(links_and_devices_are_refused),
        cmocka_unit_test(bombs_are_refused_before_they_fill_the_disk),
        cmocka_unit_test(what_is_there_twice_is_refused),
        cmocka_unit_test(a_damaged_archive_is_a_message),
        cmocka_unit_test(data_come_whole_from_any_server_that_has_them),
        cmocka_unit_test(what_does_not_fit_its_digest_is_not_kept),
        cmocka_unit_test(a_first_download_is_held_to),
        cmocka_unit_test(examples_are_counted_before_and_after),
        cmocka_unit_test(what_stands_there_and_is_another_thing_is_left_alone),
        cmocka_unit_test(every_source_is_a_task_and_has_what_it_needs),
        cmocka_unit_test(mrpc_is_cut_as_glue_cuts_it),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
