# Every kind of pruned or distilled student, masked and sliced, opens in transformers with the logits that its
# evaluation recorded; saved again by transformers, it is read with equal bits and scores the same.
set -eu
if [ -z "${RETORT_PYTHON-}" ]; then echo "transformers is not here (RETORT_PYTHON)"; exit 77; fi
printf 'a\tb\tlabel\n' > pairs.tsv
printf '%s\t%s\t%s\n' 'now purse one here' 'soon costs three today' 0 'then purse eight' 'costs two often' 1 \
    'purse four' 'quite costs five once just' 0 >> pairs.tsv
train='"task": "synth/match", "max_steps": 6, "batch": 8, "max_len": 32'
students='heads neurons_none top_v soft gum magnitude n_m pkd heads_sliced gum_sliced soft_sliced pkd_heads'
{
    cat <<END
{"retort": 1, "name": "students", "seeds": [1],
 "tasks": {"my/pairs": {"kind": "classes", "labels": ["0", "1"], "files": {"dev": "pairs.tsv"},
                        "columns": {"a": "a", "b": "b", "label": "label"}, "header": true}},
 "stages": {
  "start": {"do": "init", "task": "synth/match", "layers": 3, "width": 32, "heads": 4, "ffn": 48, "range": 0.3},
  "trained": {"do": "finetune", "model": {"from": "start"}, $train},
  "heads": {"do": "prune/heads", "model": {"from": "trained"}, "ratio": 0.5, "order": "random"},
  "neurons_none": {"do": "prune/neurons", "model": {"from": "trained"}, "score": "magnitude", "left": 0, $train},
  "top_v": {"do": "prune/neurons", "model": {"from": "trained"}, "score": "top_v", "left": 0.25, $train},
  "soft": {"do": "prune/neurons", "model": {"from": "trained"}, "score": "soft", "left": 0.25, $train},
  "gum": {"do": "prune/neurons", "model": {"from": "trained"}, "left": 0.25, "teacher": {"from": "trained"}, "alpha": 0.5, $train},
  "magnitude": {"do": "prune/magnitude", "model": {"from": "trained"}, "ratio": 0.6},
  "n_m": {"do": "prune/magnitude", "model": {"from": "trained"}, "ratio": 0.5, "scope": "n:m"},
  "some_blocks": {"do": "distill/student", "model": {"from": "trained"}, "blocks": [1, 3]},
  "pkd": {"do": "distill/pkd", "model": {"from": "some_blocks"}, "teacher": {"from": "trained"}, "states": "none", $train},
  "heads_sliced": {"do": "prune/slice", "model": {"from": "heads"}},
  "gum_sliced": {"do": "prune/slice", "model": {"from": "gum"}},
  "soft_sliced": {"do": "prune/slice", "model": {"from": "soft"}},
  "pkd_masked": {"do": "prune/heads", "model": {"from": "pkd"}, "ratio": 0.5, "order": "random"},
  "pkd_heads": {"do": "prune/slice", "model": {"from": "pkd_masked"}},
END
    for s in $students; do echo "  \"of_$s\": {\"do\": \"evaluate\", \"model\": {\"from\": \"$s\"}, \"task\": \"my/pairs\"},"; done
    echo '  "of_trained": {"do": "evaluate", "model": {"from": "trained"}, "task": "my/pairs"}}}'
} > spec.json
"$RETORT" run spec.json > log 2>&1 || { cat log; exit 1; }
id() { "$RETORT" ls --ids "stage=$1"; }
file() { echo runs/*/"$(id "$1")"/run.h5; }
for s in $students; do
    "$RETORT" export --hf "$(id "$s")" "out/$s" > log 2>&1 || { cat log; exit 1; }
    echo "$s $(file "of_$s")"
done > list
"$RETORT_PYTHON" - list > log 2> err <<'END' || { cat log err; exit 1; }
import csv, sys, h5py, torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
rows = list(csv.DictReader(open("pairs.tsv"), delimiter="\t"))
for line in open("list"):
    name, file = line.split()
    model, info = AutoModelForSequenceClassification.from_pretrained(f"out/{name}", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"], (name, info)
    tokenizer = AutoTokenizer.from_pretrained(f"out/{name}")
    x = tokenizer([r["a"] for r in rows], [r["b"] for r in rows], padding=True, return_tensors="pt")
    theirs = model.eval()(**x).logits.detach()
    ours = torch.tensor(h5py.File(file)["/eval/my/pairs/dev/logits"][:])
    off = float((ours - theirs).norm() / theirs.norm())
    print(name, off)
    assert off <= 1e-5, (name, ours, theirs)
    model.save_pretrained(f"again/{name}")
    tokenizer.save_pretrained(f"again/{name}")
END
cat log
{
    echo '{"retort": 1, "name": "again", "seeds": [1], "stages": {'
    for s in $students; do echo "\"$s\": {\"do\": \"prune/magnitude\", \"model\": \"again/$s\", \"ratio\": 0},"; done
    echo '"end": {"do": "init", "task": "synth/match"}}}'
} > again.json
"$RETORT" run again.json --store more > log 2>&1 || { cat log; exit 1; }
# A sliced student's folder is the masked one's to the byte (full shapes, zeros), so their jobs are one.
for s in $students; do
    run=$("$RETORT" ls --store more --ids "stage=$s")
    test -z "$run" || "$RETORT" export --hf "$run" "read/$s" --store more > log 2>&1 || { cat log; exit 1; }
done
"$RETORT_PYTHON" - <<'END'
import os
from safetensors.numpy import load_file
names = os.listdir("read")
assert len(names) >= 9, names
for name in names:
    first, again = (load_file(f"{folder}/{name}/model.safetensors") for folder in ("out", "read"))
    assert len(again) >= len(first) - 2 > 10, (name, len(first), len(again))
    for key, value in again.items():
        assert value.tobytes() == first.get("bert." + key, first.get(key)).tobytes(), (name, key)
END
