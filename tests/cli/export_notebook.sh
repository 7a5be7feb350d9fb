# A notebook's folder without Python: its files, what is left out, what is refused.
fail() { echo "$*"; exit 1; }
cat > spec.json <<'END'
{"retort": 1, "name": "nb", "seeds": [1, 2],
 "stages": {
   "start": {"do": "init", "task": "synth/agreement", "layers": 1, "heads": 2},
   "pruned": {"do": "prune/heads", "model": {"from": "start"}, "order": "random", "ratio": 0},
   "result": {"do": "evaluate", "model": {"from": "pruned"}, "task": "synth/agreement", "split": "dev"}},
 "sweep": {"grid": {"pruned.ratio": [0, 1]}}}
END
cat > t.json <<'END'
{"table": 1, "title": "a $b$", "spec": "spec.json", "stage": "result", "metric": "eval/synth/agreement/dev/accuracy",
 "rows": {"variable": "pruned.ratio"}, "columns": [{"name": "here"}]}
END
"$RETORT" run -q spec.json 2> log || fail "run: $(cat log)"
"$RETORT" export --notebook a t.json 2> log || fail "exit code $?: $(cat log)"
grep -q '^a/notebook.ipynb: 10 runs$' log || fail "told: $(cat log)"
test "$(ls a)" = "$(printf '%s\n' metrics.csv notebook.ipynb notebook.py points.csv runs.h5 table.csv table.json)" || fail "$(ls a)"
grep -q '^# # a \\\$b\\\$$' a/notebook.py || fail "title: $(head -n 3 a/notebook.py)"
head -n 1 a/points.csv | grep -q '^point,label,seed,pruned.ratio,spec,stage,method,run.$' || fail "points: $(head -n 1 a/points.csv)"
test "$(wc -l < a/points.csv)" -eq 13 || fail "points.csv has $(wc -l < a/points.csv) lines"
h5dump -n a/runs.h5 > names || fail "runs.h5 is not read"
test "$(grep -c '/eval/synth/agreement/dev/pred$' names)" -eq 4 || fail "predictions: $(cat names)"
if grep -qE '/tensors|/steps|/model/vocab|/masks/bert' names; then fail "too much: $(cat names)"; fi

# The same again is the same to the byte; without a declaration there is no table.
"$RETORT" export -q --notebook b t.json || fail "a second export"
diff -r a b || fail "two exports differ"
"$RETORT" export -q --notebook c spec.json || fail "of a spec"
test ! -e c/table.csv || fail "a table of nothing"
grep -q '"id": "sweep"' c/notebook.ipynb || fail "no overview of the sweep"
"$RETORT" export -q --notebook d latest || fail "of a run"
"$RETORT" export -q --notebook e nb || fail "of a name"

refused() { # MESSAGE ARGUMENTS
    want=$1
    shift
    "$RETORT" export "$@" 2> log && fail "$* is taken"
    grep -q -- "$want" log || fail "$*: $(cat log)"
}
refused 'a is there already' --notebook a t.json
refused 'declaration of one table' --notebook f t.json t.json
refused 'one of --notebook' --notebook f --csv
refused 'neither a run' --notebook f nothing
sed 's/"nb"/"other"/; s/"heads": 2/"heads": 4/' spec.json > none.json
refused 'none of these runs is there' --notebook f none.json
test ! -e f || fail "a refused export left a folder"
