/* The class of environments in which equal jobs give equal bits. */
#include "retort/pins.h"
#include "retort/tensor.h"

int env_class(char out[SHA256_HEX], struct err *err)
{
    /* libc for the mathematics of libm. */
    static const char *const numeric[] = {"onednn", "libc"};
    struct strbuf sb = STRBUF_INIT;
    char buf[64];
    int rc;

    strbuf_printf(&sb, "kernels %s\nproducts %#x\ncompiler %s\n", kernels_level(),
                  kernels_products(), build_info().compiler);
    for (int i = 0; i < 2; i++)
        strbuf_printf(&sb, "%s %s\n", numeric[i], library_version(numeric[i], buf));
    rc = strbuf_failed(&sb, err);
    if (rc == 0)
        sha256_text(out, strbuf_text(&sb), sb.len);
    strbuf_release(&sb);
    return rc;
}
