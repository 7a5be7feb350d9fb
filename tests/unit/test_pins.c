/* Pins: revision and changes of a scratch repository, the host. */
#include <stdlib.h>
#include <unistd.h>

#include "check.h"
#include "retort/file.h"
#include "retort/json.h"
#include "retort/pins.h"

static char dir[] = "/tmp/retort-pins-XXXXXX";

static int sh(const char *command)
{
    char text[1024];
    snprintf(text, sizeof(text), "cd %s && { %s; } > /dev/null 2>&1", dir, command);
    return system(text);
}

static int setup(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    return file_remove(dir, &err);
}

static struct json_doc *collected(void)
{
    struct err err = ERR_INIT;
    struct strbuf sb = STRBUF_INIT;
    struct diags *diags = diags_new(&err);
    char work[64], store[64];
    snprintf(work, sizeof(work), "%s/work", dir);
    snprintf(store, sizeof(store), "%s/work/runs", dir);
    struct pins_options opt = {work, store, "v3", 2};
    assert_ok(pins_collect(&sb, &opt, &err), &err);
    struct json_doc *doc = json_parse(sb.text, (int64_t)sb.len, "pins", diags);
    assert_ok(diags_to_err(diags, &err), &err);
    diags_free(diags);
    strbuf_release(&sb);
    return doc;
}

static const struct json *work_of(const struct json_doc *doc)
{
    return json_get(json_get(json_root(doc), "git"), "work");
}

static void without_a_repository_there_is_a_warning(void **state)
{
    (void)state;
    assert_int_equal(sh("mkdir -p work && touch work/x"), 0);
    struct json_doc *doc = collected();
    assert_null(json_get(work_of(doc), "commit"));
    assert_int_equal(json_count(json_get(work_of(doc), "warnings")), 1);
    assert_string_equal(
        json_string(json_get(json_get(json_root(doc), "host"), "kernels")), "v3");
    json_doc_free(doc);
}

static void changes_are_kept_but_not_secrets(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    char work[64];
    snprintf(work, sizeof(work), "%s/work", dir);
    if (sh("git --version") != 0) {
        print_message("git is not installed\n");
        skip();
    }
    assert_int_equal(
        sh("cd work && git init -q -b trunk . && git add x && git -c user.name=a "
           "-c user.email=a@b commit -qm one"),
        0);
    assert_ok(pins_require(work, NULL, NULL, true, &err), &err);
    struct json_doc *doc = collected();
    assert_false(json_bool(json_get(work_of(doc), "dirty")));
    json_doc_free(doc);

    assert_int_equal(
        sh("cd work && echo changed > x && mkdir -p sub runs && echo new > sub/y && "
           "echo k > .env && echo k > a.pem && echo r > runs/r"),
        0);
    doc = collected();
    const struct json *w = work_of(doc);
    assert_string_equal(json_string(json_get(w, "branch")), "trunk");
    assert_int_equal(json_int(json_get(w, "changed")), 1);
    assert_int_equal(json_int(json_get(w, "untracked")), 3);
    assert_int_equal(json_count(json_get(w, "skipped")), 2);
    char command[400];
    snprintf(command, sizeof(command),
             "git --git-dir=work/runs/objects.git ls-tree -r --name-only %s > list && "
             "git --git-dir=work/runs/objects.git cat-file -p %s:x | grep -q changed && "
             "printf 'sub/y\\nx\\n' | cmp - list",
             json_string(json_get(w, "tree")), json_string(json_get(w, "tree")));
    assert_int_equal(sh(command), 0);
    assert_fails(pins_require(work, NULL, NULL, true, &err), &err, ERR_NEGATIVE,
                 "commit them first");
    assert_fails(pins_require(work, NULL, "0123456789", false, &err), &err, ERR_NEGATIVE,
                 "demands");
    assert_int_equal(sh("cd work && git tag paper"), 0);
    assert_ok(pins_require(work, NULL, "paper", false, &err), &err);
    assert_fails(pins_require(work, NULL, "papers", false, &err), &err, ERR_NEGATIVE,
                 "names no commit");
    /* The store's own files are no changes. */
    char store[64];
    snprintf(store, sizeof(store), "%s/work/runs", dir);
    assert_int_equal(sh("cd work && git checkout -q x && rm -r sub .env a.pem"), 0);
    assert_ok(pins_require(work, store, NULL, true, &err), &err);
    assert_ok(pins_require(work, NULL, json_string(json_get(w, "commit")), false, &err),
              &err);
    json_doc_free(doc);
}

static void names_of_secrets_are_denied(void **state)
{
    (void)state;
    assert_true(pins_denied("a/.env"));
    assert_true(pins_denied("id_rsa"));
    assert_true(pins_denied("deep/er/server.PEM"));
    assert_true(pins_denied("home/.ssh/config"));
    assert_false(pins_denied("experiments/mrpc.json"));
}

static void the_environment_class_is_stable(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    char a[SHA256_HEX], b[SHA256_HEX], buf[64];
    assert_ok(env_class(a, &err), &err);
    assert_ok(env_class(b, &err), &err);
    assert_int_equal(strlen(a), 64);
    assert_string_equal(a, b);
    assert_true(library_version("libgit2", buf)[0] != '\0');
    assert_true(library_version("libc", buf)[0] != '\0');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_repository_there_is_a_warning),
        cmocka_unit_test(changes_are_kept_but_not_secrets),
        cmocka_unit_test(names_of_secrets_are_denied),
        cmocka_unit_test(the_environment_class_is_stable),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
