# What a run keeps, read by plain h5py and h5dump.
set -eu
fail() { echo "$1"; cat log; exit 1; }
cat > spec.json <<'END'
{"retort": 1, "name": "layout", "note": "é",
 "stages": {
  "start": {"do": "init", "task": "synth/agreement"},
  "trained": {"do": "finetune", "model": {"from": "start"}, "task": "synth/agreement", "max_steps": 6, "max_len": 64,
              "record": {"weights": 3, "gradients": 3, "attention": 3, "activations": {"every": 3, "examples": 8}}},
  "pruned": {"do": "prune/heads", "model": {"from": "trained"}, "order": "random", "ratio": 0.5},
  "result": {"do": "evaluate", "model": {"from": "pruned"}, "task": "synth/agreement",
             "record": {"attention": 1, "activations": 1}}}}
END
"$RETORT" run spec.json > log 2>&1 || fail "the run fails"
for f in runs/??/*/run.h5; do
    if command -v h5dump > /dev/null; then h5dump "$f" > log 2>&1 || fail "h5dump cannot read $f"; fi
done
[ -n "${RETORT_PYTHON-}" ] || { echo "no Python with h5py (RETORT_PYTHON)"; exit 77; }
here=$PWD
for f in runs/??/*/run.h5; do
    id=$(basename "$(dirname "$f")")
    # Links are relative to the file, not to the reader's folder.
    (cd / && "$RETORT_PYTHON" "$SOURCE/tests/cli/layout.py" "$here/runs" "$id") || fail "h5py: $id"
done > out
sort -o out out
cat > want <<'END'
pruned refs 41 of 41 masked 4
result steps 0 activations attention batch
start refs 0 of 39 masked 0
trained refs 0 of 41 masked 0
trained steps 0 3 activations attention batch gradients weights
END
diff want out
