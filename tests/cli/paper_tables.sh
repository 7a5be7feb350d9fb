#!/bin/sh
# The papers' tables print whole before anything was run: each figure in its place, empty cells beside it.
fail() { echo "$*"; exit 1; }
n=0
for decl in "$SOURCE"/experiments/papers/tables/*.json; do
    "$RETORT" table "$decl" > out.md 2> log || fail "$decl: exit code $?: $(cat log)"
    "$RETORT" table "$decl" --format json > out.json || fail "$decl: no JSON"
    grep -q 'missing' out.md && fail "$decl: cells that nobody asked for are missing: $(grep missing out.md | head -n 1)"
    [ "$(grep -c '"paper": [-0-9]' out.json)" -ge 3 ] || fail "$decl: no figures of the paper"
    n=$((n + 1))
done
[ $n -ge 26 ] || fail "$n declarations"
"$RETORT" table "$SOURCE/experiments/papers/tables/gum.table-4.json" > out.md
grep -q '^| paper | 17.814 | 17.651 | 19.470 | 19.053 | 21.169 | 20.469 |$' out.md || fail "GUM, table 4: $(cat out.md)"
"$RETORT" table "$SOURCE/experiments/papers/tables/sixteen-heads.table-1.json" > out.md
grep -q '^| 6 | – |' out.md || fail "Sixteen Heads, table 1: $(cat out.md)"
# With a stage and a metric the cells do ask for runs.
sed 's/"digits"/"stage": "x", "metric": "y", "digits"/; s|"\.\./|"'"$SOURCE"'/experiments/papers/|' \
    "$SOURCE/experiments/papers/tables/gum.table-4.json" > asks.json
"$RETORT" table asks.json 2> log && fail "cells that ask for runs need a spec"
grep -q '"spec" is missing' log || fail "cells that ask for runs: $(cat log)"

# Columns that follow from what runs hold.
cat > spec.json <<'END'
{"retort": 1, "name": "t", "seeds": [1],
 "stages": {
   "start": {"do": "init", "task": "synth/agreement", "layers": 2, "heads": 2},
   "pruned": {"do": "prune/heads", "model": {"from": "start"}, "order": "random", "ratio": 0},
   "result": {"do": "evaluate", "model": {"from": "pruned"}, "task": "synth/agreement", "split": "dev"}},
 "sweep": {"grid": {"pruned.ratio": [0, 0.5]}}}
END
cat > columns.json <<'END'
{"table": 1, "spec": "spec.json", "stage": "result", "rows": {"variable": "pruned.ratio"}, "digits": 0,
 "columns": [{"name": "all", "metric": "model/parameters"}, {"name": "kept", "metric": "model/parameters_kept"},
             {"name": "share", "metric": "model/share_kept", "digits": 4}, {"name": "flops", "metric": "model/flops_per_token"},
             {"name": "bytes", "metric": "run/bytes"}, {"name": "seconds", "metric": "run/seconds"}]}
END
"$RETORT" run spec.json -q 2> log || fail "the spec does not run: $(cat log)"
"$RETORT" table columns.json > out.md || fail "columns: $(cat out.md)"
# 64 channels, 128 neurons, 2 layers: 4 C^2 + 2 C N weights a layer, of which half of the heads' 4 C^2 go.
grep -q '^| 0 | [0-9]* | [0-9]* | 1.0000 | 131072 | [0-9]* | [0-9]* |$' out.md || fail "flops: $(cat out.md)"
grep -q '^| 0.5 | [0-9]* | [0-9]* | 0\.[0-9]* | 98304 | [0-9]* | [0-9]* |$' out.md || fail "flops of half of the heads: $(cat out.md)"
exit 0
