# An exported model opens in transformers; a run without a model, a folder that is there: said clearly.
set -eu
cat > spec.json <<'END'
{"retort": 1, "name": "out", "seeds": [1],
 "stages": {
  "start": {"do": "init", "task": "synth/match"},
  "trained": {"do": "finetune", "model": {"from": "start"}, "task": "synth/match", "epochs": 1, "max_steps": 5},
  "score": {"do": "evaluate", "model": {"from": "trained"}, "task": "synth/match"}}}
END
"$RETORT" run spec.json > log 2>&1 || { cat log; exit 1; }
id() { "$RETORT" ls | awk -v s="$1" '$4 == s {print $1}'; }
"$RETORT" export --hf "$(id trained)" out
if "$RETORT" export --hf "$(id trained)" out 2> err; then exit 1; fi
grep -q 'is there already' err || { cat err; exit 1; }
if "$RETORT" export --hf "$(id score)" other 2> err; then exit 1; fi
grep -q 'has no model' err || { cat err; exit 1; }
if [ -z "${RETORT_PYTHON-}" ]; then echo "transformers is not here (RETORT_PYTHON)"; exit 77; fi
"$RETORT_PYTHON" - <<'END' 2> err || { cat err; exit 1; }
from transformers import AutoModelForSequenceClassification, AutoTokenizer
model, info = AutoModelForSequenceClassification.from_pretrained("out", output_loading_info=True)
assert not info["missing_keys"] and not info["unexpected_keys"], info
assert AutoTokenizer.from_pretrained("out")("[CLS]").input_ids[1] == 2
END
