/* retort version, retort --version. */
#include <stdio.h>

#include "retort/pins.h"
#include "verbs.h"

static int run(const void *given)
{
    const struct common *common = given;
    struct build_info b = build_info();

    printf("retort %s\n", b.version);
    if (common->verbose)
        printf("commit    %s%s\ncompiler  %s\nflags     %s\n", b.commit,
               b.dirty ? " with changes" : "", b.compiler, b.flags);
    return 0;
}

const struct verb verb_version = {
    .name = "version",
    .group = "Retort itself",
    .summary = "the version; with -v what the program was built from",
    .common = COMMON_VERBOSE,
    .run = run,
};
