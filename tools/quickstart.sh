#!/bin/sh
# From a bare machine to a sweep: packages, build, run. Usage: quickstart.sh BUILD
set -eu
build=$1
sh tools/packages.sh build
mkdir -p "$build"
printf 'Building ... '
start=$(date +%s)
if ! make -s -j"$(nproc)" BUILD="$build" all > "$build/quickstart.log" 2>&1; then
    echo "failed; the log is $build/quickstart.log:"
    tail -n 20 "$build/quickstart.log"
    exit 1
fi
echo "done ($(($(date +%s) - start)) s)."
"$build/retort" run experiments/quickstart.json
echo
"$build/retort" table experiments/quickstart.table.json
mkdir -p runs/plots
printf "\nPlot:  "
"$build/retort" plot experiments/quickstart.table.json --out runs/plots/quickstart
echo
echo "Next:  $build/retort ls            the runs of the store"
echo "       $build/retort show RUN      everything one run knows"
echo "       $build/retort list methods  what else can be done"
