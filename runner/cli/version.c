/* retort --version */
#include <stdio.h>

#include "verbs.h"

int verb_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    puts("retort 0.1.0");
    return 0;
}
