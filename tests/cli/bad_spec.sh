# Specs that are wrong: every error at once, each with its place; nothing is run.
. "$SOURCE/tests/cli/bad.inc"
try() { # TITLE [ARGS...], the spec on stdin
    title=$1
    shift
    cat > x.json
    tell "$title" plan x.json "$@"
}
stage='"a": {"do": "init", "task": "synth/agreement"}'
base() { printf '{"retort": 1, "stages": {%s}%s}\n' "$stage" "${1-}"; }

try "wrong types" << 'X'
{"retort": "1", "name": 3, "seeds": 1, "note": 4,
 "stages": {"a": {"do": "init", "task": ["synth/agreement"], "layers": "two"},
  "b": [],
  "c": {"do": 7},
  "d": {"do": "finetune", "model": 3, "task": {"from": 3}, "epochs": 1.5,
        "lr": "x", "seed": -1, "as": 3, "over": "seed", "note": {}}},
 "sweep": [], "tasks": [], "record": 3, "revision": 1}
X
try "unknown keys, methods, tasks" << 'X'
{"retort": 1, "seds": [1],
 "stages": {"a": {"do": "init", "task": "synth/agreement", "layer": 2, "zzz": 1},
  "b": {"do": "evalute", "model": {"from": "a"}},
  "c": {"do": "evaluate", "model": {"form": "a"}, "task": "synth/agrement"},
  "d": {"do": "evaluate", "model": {"from": "a"}, "task": "synth/agreement", "split": "deb"}}}
X
try "values out of range" << 'X'
{"retort": 1,
 "stages": {"a": {"do": "init", "task": "synth/agreement", "layers": 0, "dropout": 1},
  "p": {"do": "prune/heads", "model": {"from": "a"}, "ratio": 1.5, "order": "randm"},
  "e": {"do": "evaluate", "model": {"from": "p"}, "task": "synth/agreement", "split": "dev[5:2]"}}}
X
try "what is needed and missing" << 'X'
{"retort": 1, "stages": {"a": {"do": "init"}, "p": {"do": "prune/heads"}, "q": {}}}
X
try "duplicate keys" << 'X'
{"retort": 1, "stages": {"a": {"do": "init", "do": "init"}, "a": {}}, "stages": {}}
X
try "circles" << 'X'
{"retort": 1, "stages": {
 "a": {"do": "finetune", "model": {"from": "c"}, "task": "synth/agreement"},
 "b": {"do": "finetune", "model": {"from": "a"}, "task": "synth/agreement"},
 "c": {"do": "finetune", "model": {"from": "b"}, "task": "synth/agreement"},
 "d": {"do": "finetune", "model": {"from": "d"}, "task": "synth/agreement"}}}
X
try "dangling from, wrong kinds" << 'X'
{"retort": 1, "stages": {
 "teacher": {"do": "init", "task": "synth/agreement"},
 "e": {"do": "evaluate", "model": {"from": "teachr"}, "task": "synth/agreement"},
 "f": {"do": "evaluate", "model": {"from": "g"}, "task": "synth/agreement"},
 "g": {"do": "evaluate", "model": {"from": "teacher", "output": "scores"}, "task": "synth/agreement"},
 "h": {"do": "prune/heads", "model": {"from": "teacher"}, "scores": "x", "ratio": 0}}}
X
try "missing folder and files" << 'X'
{"retort": 1,
 "tasks": {"my/t": {"labels": ["a", "b"], "files": {"dev": "none.tsv"}, "columns": {"a": 1}}},
 "stages": {"e": {"do": "evaluate", "model": "none", "task": "synth/agreement"},
            "f": {"do": "evaluate", "model": "none", "task": "my/t"}}}
X
try "names of stages, version" << 'X'
{"retort": 2, "stages": {"a b": {"do": "init", "task": "synth/agreement"}, "seed": {"do": "init", "task": "synth/agreement"}}}
X
try "an empty file" < /dev/null
printf '[1]' | try "a list"
printf '{"retort": 1, "stages": {}}' | try "no stages"
printf '\357\273\277{"retort": 1}' | try "byte order mark"
printf '{"retort": 1, "name": "\377", "stages": {}}' | try "not UTF-8"
printf '{"retort": 1, "name": "a\000b", "stages": {}}' | try "a zero byte"
printf '{"retort": 1, "stages": {"a": {"do": "\\u001b[31m\\n"}}}' | try "what would steer a terminal"
printf '{"retort": 1,}' | try "a comma too many"
printf '{"retort": 1} x' | try "text after the end"
printf '{"retort": 01}' | try "a leading zero"
printf '{"retort": 1, "seeds": [9007199254740993]}' | try "a number that no double holds"
printf '{"retort": 1 // spec\n}' | try "a comment"
awk 'BEGIN { for (i = 0; i < 100000; i++) printf "[" }' | try "too deep"
awk 'BEGIN { for (i = 0; i < 100000; i++) printf "{\"a\":" }' | try "too deep, objects"
awk 'BEGIN { printf "{\"retort\": 1, \"stages\": {\"a\": {\"do\": \"init\""; for (i = 0; i < 300; i++) printf ", \"k%d\": 0", i; print "}}}" }' > x.json
"$RETORT" plan x.json > out 2> err
echo "== 300 errors: exit $?, $(grep -c 'error: ' err) told; $(grep more err)"
head -c 17000000 /dev/zero | tr '\0' ' ' > big.json
tell "17 MB" plan big.json
tell "no such file" plan none.json
tell "no name" plan ""
mkdir folder.json
tell "a folder" plan folder.json
tell "a device" plan /dev/null

base ', "extends": "x.json"' | try "extends itself"
base ', "extends": "none.json"' | try "extends nothing"
base ', "extends": 3' | try "extends a number"
base > base.json
printf '{"retort": 1, "extends": "base.json", "stages": {"a": {"layers": "two"}}}' | try "an error in what extends"
printf '{"extends": "base2.json"}' > x2.json; printf '{"extends": "x2.json"}' > base2.json
tell "a circle of extends" plan x2.json

base | try "--set without =" --set layers
base | try "--set on no stage" --set b.layers=2
base | try "--set on no option" --set a.layer=2
base | try "--set to a wrong type" --set a.layers=two
base | try "--set out of range" --set a.layers=-3
base | try "--set seeds" --set seeds=3
base | try "--set extends" --set extends=base.json
base | try "--set of a stage" --set a=3
base | try "--set inside of a value" --set a.layers.x=3
base | try "--set everywhere, nowhere" --set '*.ratio=1'
base | try "--set of nothing" --set a.task=
base | try "--set with odd bytes" --set "a.task=$(printf '\377\033[31m')"
base ', "seeds": [1, 1, -1, 1.5, "x"]' | try "seeds"
base ', "seeds": []' | try "no seeds"
base ', "record": {"weight": 1, "weights": 0}' | try "record"

base ', "sweep": {"grid": {"a.layrs": [1, 2]}}' | try "sweep: no option"
base ', "sweep": {"grid": {"b.layers": [1, 2]}}' | try "sweep: no stage"
base ', "sweep": {"grid": {"layers": [1, 2]}}' | try "sweep: no dot"
base ', "sweep": {"grid": {"a.layers": [1, "x", -2]}}' | try "sweep: wrong values"
base ', "sweep": {"grid": {}}' | try "sweep: an empty grid"
base ', "sweep": {"grid": {"a.layers": []}}' | try "sweep: no values"
base ', "sweep": {"grid": {"a.layers": {"rnage": [1, 3, 1]}}}' | try "sweep: a rule misspelt"
base ', "sweep": {"gird": {"a.layers": [1]}}' | try "sweep: a block misspelt"
base ', "sweep": {"grid": {"a.layers": {"range": [1, 200, 0.0001]}}}' | try "sweep: too many values"
base ', "sweep": {"grid": {"a.layers": {"range": [1, 200, 1]}, "a.width": {"range": [1, 65000, 1]}}}' |
    try "sweep: too many points"
base ', "sweep": {"zip": {"a.layers": [1, 2], "a.heads": [1]}}' | try "sweep: zip of unequal lengths"
base ', "sweep": {"list": [{"label": "x", "a.layers": 1}, {"label": "x", "a.layers": 2}]}' | try "sweep: a label twice"
base ', "sweep": {"grid": {"a.layers": [1]}, "exclude": [{"a.layers": 1}]}' | try "sweep: all excluded"
base ', "sweep": {"grid": {"a.layers": [1]}, "when": [{"if": {"a.heads": 2}, "grid": {"a.width": [8]}}]}' |
    try "sweep: a condition on what is not there"
base ', "cluster": {"core": 2, "memory": "8 GB", "time": "1:2:3:4", "stages": {"b": {"cores": 2}, "a": {"gpus": -1}}}' |
    try "cluster: a key misspelt, what Slurm would refuse, a stage that is not there"
[ ! -e runs/ ] || [ -z "$(find runs -name '*.h5')" ] || echo "SOMETHING WAS RUN"
