# Tidy CSV of a sweep, of runs, of the store: columns, quoting, a file.
set -u
cat > spec.json <<'EOF'
{"retort": 1, "name": "out, \"quoted\"", "seeds": [1, 2],
 "stages": {
  "start": {"do": "init", "task": "synth/match"},
  "score": {"do": "evaluate", "model": {"from": "start"}, "task": "synth/match", "max_len": 32}},
 "sweep": {"list": [{"label": "short, plain", "score.max_len": 24}, {"label": "long", "score.max_len": 32}]}}
EOF
fail() { echo "$1"; cat out err; exit 1; }
wants() { # CODE "text in stdout" "text in stderr" ARGS...
    code=$1 o=$2 e=$3
    shift 3
    "$RETORT" "$@" > out 2> err
    rc=$?
    test $rc -eq "$code" || fail "retort $*: exit code $rc, wanted $code"
    test -z "$o" || grep -q -e "$o" out || fail "retort $*: stdout lacks \"$o\""
    test -z "$e" || grep -q -e "$e" err || fail "retort $*: stderr lacks \"$e\""
}
wants 0 '' '6 done' run spec.json
cr=$(printf '\r')
wants 0 "^spec,stage,method,seed,label,score.max_len,task,split,metric,step,value,run$cr\$" '' export --csv spec.json
wants 0 '^"out, ""quoted""",score,evaluate,1,"short, plain",24,synth/match,dev,accuracy,0,0\.[0-9]*,[0-9a-f]*' '' export --csv spec.json
wants 0 '^"out, ""quoted""",start,init,2,,,,,model/parameters,0,[0-9]*,' '' export --csv spec.json
test "$(grep -c . out)" -eq "$((1 + 4 * 4 + 2 * 2))" || fail "not 21 lines"
"$RETORT" export --csv > all
cmp out all || fail "the store holds another than its only spec"
wants 0 'accuracy' '' export --csv 'out, "quoted"' -m accuracy
test "$(grep -c . out)" -eq 5 || fail "not 5 lines"
wants 0 'accuracy' '' export --csv latest -m accuracy
test "$(grep -c . out)" -eq 2 || fail "not 2 lines"
wants 0 '' 'all.csv: 20 lines' export --csv --out all.csv
cmp all all.csv || fail "a file holds another than stdout"
wants 0 '' 'no run yet' export --csv spec.json -m accuracy --store "$(mkdir empty && echo empty)"
wants 2 '' 'one of --notebook, --hf, --csv, --glue, --squad' export spec.json
wants 3 '' 'is neither a run' export --csv nothing
if [ -z "${RETORT_PYTHON-}" ]; then echo "Python's csv is not here (RETORT_PYTHON)"; exit 77; fi
"$RETORT_PYTHON" - <<'EOF' || exit 1
import csv
rows = list(csv.DictReader(open("all.csv", newline="")))
assert len(rows) == 20, len(rows)
assert {r["spec"] for r in rows} == {'out, "quoted"'}
assert {r["label"] for r in rows} == {"", "long", "short, plain"}
EOF
