#!/bin/sh
# Prints build_info.h: what the binary knows of its own making. Usage: build-info.sh VERSION CC CFLAGS
set -eu
commit=$(git rev-parse HEAD 2>/dev/null || echo unknown)
dirty=$(test -z "$(git status --porcelain 2>/dev/null | head -c1)" && echo 0 || echo 1)
echo "#define RETORT_VERSION \"$1\""
echo "#define BUILD_COMMIT \"$commit\""
echo "#define BUILD_DIRTY $dirty"
echo "#define BUILD_COMPILER \"$($2 --version | head -n1 | tr -d '\"\\')\""
echo "#define BUILD_FLAGS \"$(printf %s "$3" | tr -d '\"\\')\""
