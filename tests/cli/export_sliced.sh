# A model whose heads were removed opens in transformers with the logits that the run recorded.
set -eu
printf 'a\tb\tlabel\n' > pairs.tsv
printf '%s\t%s\t%s\n' 'now purse one here' 'soon costs three today' 0 'then purse eight' 'costs two often' 1 \
    'purse four' 'quite costs five once just' 0 >> pairs.tsv
cat > spec.json <<'END'
{"retort": 1, "name": "sliced", "seeds": [1],
 "tasks": {"my/pairs": {"kind": "classes", "labels": ["0", "1"], "files": {"dev": "pairs.tsv"},
                        "columns": {"a": "a", "b": "b", "label": "label"}, "header": true}},
 "stages": {
  "start": {"do": "init", "task": "synth/match", "range": 0.3},
  "trained": {"do": "finetune", "model": {"from": "start"}, "task": "synth/match", "max_steps": 3},
  "pruned": {"do": "prune/heads", "model": {"from": "trained"}, "ratio": 0.625, "order": "random"},
  "sliced": {"do": "prune/slice", "model": {"from": "pruned"}},
  "score": {"do": "evaluate", "model": {"from": "sliced"}, "task": "my/pairs"}}}
END
"$RETORT" run spec.json > log 2>&1 || { cat log; exit 1; }
id() { "$RETORT" ls | awk -v s="$1" '$4 == s {print $1}'; }
"$RETORT" export --hf "$(id sliced)" out > log 2>&1 || { cat log; exit 1; }
if [ -z "${RETORT_PYTHON-}" ]; then echo "transformers is not here (RETORT_PYTHON)"; exit 77; fi
"$RETORT_PYTHON" - runs/*/"$(id score)"*/run.h5 <<'END' 2> err || { cat err; exit 1; }
import csv, sys, h5py, torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
model, info = AutoModelForSequenceClassification.from_pretrained("out", output_loading_info=True)
assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"], info
tok = AutoTokenizer.from_pretrained("out")
rows = list(csv.DictReader(open("pairs.tsv"), delimiter="\t"))
x = tok([r["a"] for r in rows], [r["b"] for r in rows], padding=True, return_tensors="pt")
theirs = model.eval()(**x).logits.detach()
ours = torch.tensor(h5py.File(sys.argv[1])["/eval/my/pairs/dev/logits"][:])
assert (ours - theirs).norm() <= 1e-5 * theirs.norm(), (ours, theirs)
zero = sum(bool((b.attention.self.value.weight.view(4, -1) == 0).all(1).any()) for b in model.bert.encoder.layer)
assert zero == 2, zero  # heads are gone in both layers
END
