# An exported model that transformers opened and saved again (one file, shards, both pickled) is read with equal bits.
set -eu
if [ -z "${RETORT_PYTHON-}" ]; then echo "transformers is not here (RETORT_PYTHON)"; exit 77; fi
cat > spec.json <<'END'
{"retort": 1, "name": "first", "seeds": [1],
 "stages": {
  "start": {"do": "init", "task": "synth/match", "layers": 2, "width": 32, "heads": 4, "ffn": 64},
  "trained": {"do": "finetune", "model": {"from": "start"}, "task": "synth/match", "max_steps": 5}}}
END
cat > again.json <<'END'
{"retort": 1, "name": "again", "seeds": [1],
 "stages": {
  "same": {"do": "prune/magnitude", "model": "single", "ratio": 0},
  "score": {"do": "evaluate", "model": {"from": "same"}, "task": "synth/match", "split": "dev[0:100]"}},
 "sweep": {"grid": {"same.model": ["single", "shards", "pickled", "pickled-shards"]}}}
END
run() { "$RETORT" run "$@" > log 2>&1 || { cat log; exit 1; }; }
ids() { "$RETORT" ls | awk -v s="$1" '$4 == s {print $1}'; }
run spec.json
"$RETORT" export --hf "$(ids trained)" exported
"$RETORT_PYTHON" "$SOURCE/tests/parity/saved_again.py" exported single shards pickled pickled-shards > log 2>&1 || { cat log; exit 1; }
test -f shards/model.safetensors.index.json
test ! -e pickled/model.safetensors
run again.json
for id in $(ids same); do
    "$RETORT" export --hf "$id" "out.$id"
done
"$RETORT_PYTHON" - out.* <<'END'
import sys
from safetensors.numpy import load_file
first = load_file("exported/model.safetensors")
assert len(sys.argv) == 5, sys.argv
for folder in sys.argv[1:]:
    again = load_file(f"{folder}/model.safetensors")
    assert len(again) == len(first) - 2, (len(again), len(first))  # all but the classifier
    for name, value in again.items():
        assert value.tobytes() == first["bert." + name].tobytes(), (folder, name)
END
