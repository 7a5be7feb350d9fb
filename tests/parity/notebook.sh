# Exported notebooks run from top to bottom: of a table with lines, of one with a map, of a sweep, of single runs,
# with names that would be markup anywhere. tests/parity/notebook.py executes them with nbclient.
set -eu
if [ -z "${RETORT_PYTHON-}" ]; then echo "nbclient is not here (RETORT_PYTHON)"; exit 77; fi
"$RETORT_PYTHON" -c 'import nbclient, ipykernel, matplotlib' || { echo "nbclient is not in RETORT_PYTHON"; exit 77; }
export JUPYTER_PLATFORM_DIRS=1 IPYTHONDIR="$PWD/ipython" JUPYTER_RUNTIME_DIR="$PWD/jupyter" MPLCONFIGDIR="$PWD/mpl"
cat > spec.json <<'END'
{"retort": 1, "name": "a`b $x$ <i>", "seeds": [1, 2],
 "stages": {
   "start": {"do": "init", "task": "synth/agreement", "layers": 2, "heads": 2, "width": 32, "ffn": 32},
   "trained": {"do": "finetune", "model": {"from": "start"}, "task": "synth/agreement", "max_steps": 12, "max_len": 32},
   "heads": {"do": "analyze/heads", "model": {"from": "trained"}, "task": "synth/agreement", "split": "train[0:60]"},
   "pruned": {"do": "prune/heads", "model": {"from": "trained"}, "ratio": 0},
   "result": {"do": "evaluate", "model": {"from": "pruned"}, "task": "synth/agreement", "split": "dev[0:100]"}},
 "sweep": {"list": [{"label": "NA", "pruned.scores": {"from": "heads"}}, {"label": "_x \"q\", $y_1$ <b>|*&\n#", "pruned.order": "random"}],
           "grid": {"pruned.ratio": [0, 0.5, 1]}}}
END
cat > lines.json <<'END'
{"table": 1, "title": "50 % & $x_1$ <b>`|\\", "spec": "spec.json", "stage": "result", "scale": 100, "digits": 2,
 "metric": "eval/synth/agreement/dev[0:100]/accuracy",
 "rows": [{"name": "NA", "label": "NA"}, {"name": "_x \"q\", $y_1$ <b>|*&\n#", "label": "_x \"q\", $y_1$ <b>|*&\n#"}],
 "columns": {"variable": "pruned.ratio", "scale": 100, "unit": "%"}}
END
cat > map.json <<'END'
{"table": 1, "title": "heads", "spec": "spec.json", "stage": "heads", "metric": "/scores/importance",
 "rows": {"variable": "layer"}, "columns": {"variable": "head"}, "plot": {"kind": "map"}}
END
"$RETORT" run spec.json -q > log 2>&1 || { cat log; exit 1; }
book() { # FIGURES NAME WHAT...: the cells that draw
    want=$1 name=$2
    shift 2
    "$RETORT" export -q --notebook "$name" "$@" > log 2>&1 || { cat log; exit 1; }
    "$RETORT_PYTHON" "$SOURCE/tests/parity/notebook.py" "$name" > out 2> err || { tail -n 20 err; exit 1; }
    got=$(grep -E '^(figure-|sweep-figure|curves|heads)' out | tr '\n' ' ')
    test "$got" = "$want " || { echo "$name draws $got"; exit 1; }
}
book 'figure-lines curves heads' lines lines.json
book 'figure-map curves heads' map map.json
book 'sweep-figure curves heads' sweep spec.json
book 'sweep-figure curves' one "$("$RETORT" ls --ids stage=trained | head -n 1)"
# A folder that was moved away from its store.
mkdir away && mv lines away/
mv runs gone
"$RETORT_PYTHON" "$SOURCE/tests/parity/notebook.py" away/lines > out 2> err || { tail -n 20 err; exit 1; }
