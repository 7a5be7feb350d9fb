/* Specs and --set from strangers: the text up to the first zero byte, then the sets. All
 * that is wrong has a place; what is right has points and stages. */
#include "replay.h"

#include "retort/spec.h"

enum { SETS = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    struct diags *diags = diags_new(&err);
    const char *set[SETS];
    int64_t n = 0;
    char *text = malloc(size + 1);

    if (!diags || !text)
        BUG("no memory");
    memcpy(text, data, size);
    text[size] = '\0';
    for (const char *p = text; n < SETS && (p += strlen(p) + 1) <= text + size;)
        set[n++] = p;
    struct spec_file given = {"fuzz.json", text};
    struct spec *spec = spec_load_given("fuzz.json", &given, 1, set, n, diags);
    if (!spec && !diags_count(diags))
        BUG("refused without an error");
    if (spec && diags_count(diags))
        BUG("read, but with an error");
    if (spec && (spec_point_count(spec) < 1 || spec_stage_count(spec) < 1))
        BUG("a spec of nothing");
    for (int64_t i = 0; spec && i < spec_stage_count(spec); i++)
        if (spec_cluster(spec, spec_stage_name(spec, i)).cores < 1)
            BUG("a task without a processor");
    spec_free(spec);
    diags_free(diags);
    free(text);
    return 0;
}

FUZZ_MAIN("spec")
