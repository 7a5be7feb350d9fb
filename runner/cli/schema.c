/* retort schema: the JSON Schema of specs. */
#include "retort/spec.h"
#include "verbs.h"

static int run(const void *given)
{
    struct strbuf out = STRBUF_INIT;

    (void)given;
    spec_schema(&out);
    return print_text(&out);
}

const struct verb verb_schema = {
    .name = "schema",
    .group = "Retort itself",
    .summary = "the JSON Schema of specs, for editors",
    .about = "Draft 2020-12, made from the methods' tables: an editor that is told of it "
             "completes and "
             "checks stages, options and their ranges while one writes.\n\n"
             "  retort schema > retort.schema.json\n"
             "  and in a spec: \"$schema\": \"retort.schema.json\"",
    .run = run,
};
