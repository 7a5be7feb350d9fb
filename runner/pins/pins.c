/* The pins as a whole. */
#include "retort/json.h"
#include "retort/pins.h"

static void put_build(struct json_writer *w, const struct build_info *b)
{
    json_member(w, "build");
    json_object(w);
    json_member(w, "version");
    json_str(w, b->version);
    json_member(w, "compiler");
    json_str(w, b->compiler);
    json_member(w, "flags");
    json_str(w, b->flags);
    json_object_end(w);
}

static void put_libraries(struct json_writer *w)
{
    char buf[64];
    json_member(w, "libraries");
    json_object(w);
    for (const char *const *n = library_names(); *n; n++) {
        json_member(w, *n);
        json_str(w, library_version(*n, buf));
    }
    json_object_end(w);
}

int pins_collect(struct strbuf *json, const struct pins_options *opt, struct err *err)
{
    struct strbuf work = STRBUF_INIT, host = STRBUF_INIT;
    struct build_info b = build_info();
    struct json_writer w;
    int rc = -1;

    if (git_collect(&work, opt->spec_dir, opt->store_dir, err) ||
        host_collect(&host, opt->kernels, opt->threads, err))
        goto done;
    json_begin(&w, json, false);
    json_object(&w);
    json_member(&w, "git");
    json_object(&w);
    json_member(&w, "build");
    json_object(&w);
    json_member(&w, "commit");
    json_str(&w, b.commit);
    json_member(&w, "dirty");
    json_flag(&w, b.dirty);
    json_object_end(&w);
    json_member(&w, "work");
    json_raw(&w, strbuf_text(&work));
    json_object_end(&w);
    put_build(&w, &b);
    put_libraries(&w);
    json_member(&w, "host");
    json_raw(&w, strbuf_text(&host));
    json_object_end(&w);
    rc = strbuf_failed(json, err);
done:
    strbuf_release(&host);
    strbuf_release(&work);
    return rc;
}
