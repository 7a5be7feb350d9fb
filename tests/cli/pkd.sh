# The four arms of distillation share one teacher and what it said of the data; the plan shows it. The arms, the search and
# the tables of experiments/pkd are run on a made-up task and small models.
set -eu
fail() { echo "$1"; cat log; exit 1; }
count() { awk -v s="$1" '$2 == s' log | wc -l; }

cat > arms.json <<'END2'
{"retort": 1, "name": "arms", "seeds": [1],
 "stages": {
  "deep": {"do": "init", "task": "synth/agreement", "layers": 4, "width": 32, "heads": 2, "ffn": 64},
  "teacher": {"do": "finetune", "model": {"from": "deep"}, "task": "synth/agreement", "seed": 1, "max_steps": 20, "max_len": 32},
  "said": {"do": "distill/teacher", "model": {"from": "teacher"}, "task": "synth/agreement", "split": "train[0:64]", "max_len": 32},
  "student": {"do": "distill/student", "model": {"from": "deep"}, "layers": 2},
  "taught": {"do": "distill/pkd", "model": {"from": "student"}, "features": {"from": "said"}, "task": "synth/agreement",
             "split": "train[0:64]", "epochs": 1, "batch": 16, "max_len": 32, "alpha": 0.7, "temperature": 10, "beta": 100},
  "result": {"do": "evaluate", "model": {"from": "taught"}, "task": "synth/agreement", "split": "dev[0:50]", "max_len": 32}},
 "sweep": {"list": [{"label": "fine-tune", "taught.alpha": 0, "taught.beta": 0}, {"label": "KD", "taught.beta": 0},
                    {"label": "PKD-Skip", "taught.layers": "skip"}, {"label": "PKD-Last", "taught.layers": "last"}]}}
END2
"$RETORT" plan arms.json > log 2>&1 || fail "plan fails"
test "$(count teacher)" = 1 && test "$(count said)" = 1 && test "$(count student)" = 1 || fail "arms do not share their teacher"
test "$(count taught)" = 4 && test "$(count result)" = 4 || fail "there are not four arms"
"$RETORT" run arms.json > log 2>&1 || fail "run fails"
grep -q '^12 done, 0 failed' log || fail "12 jobs were wanted"
# Another student: the teacher and what it said are there.
"$RETORT" plan arms.json --set student.layers=1 > log
test "$(awk '($2 == "teacher" || $2 == "said") && /cached/' log | wc -l)" = 2 || fail "another student wants another teacher"

# With the teacher alongside, the weights have the same bits.
same() { # --set...
    "$RETORT" run arms.json "$@" > log 2>&1 || fail "run $* fails"
    "$RETORT" plan arms.json "$@" > log
    stored=$(awk '$2 == "taught" && /PKD-Skip/ {print $1}' log)
    "$RETORT" run arms.json "$@" --set taught.features=null --set 'taught.teacher={"from":"teacher"}' > log 2>&1 || fail "run alongside fails"
    "$RETORT" plan arms.json "$@" --set taught.features=null --set 'taught.teacher={"from":"teacher"}' > log
    alongside=$(awk '$2 == "taught" && /PKD-Skip/ {print $1}' log)
    test "$stored" != "$alongside" || fail "these are one run"
    "$RETORT" diff "$stored" "$alongside" --tensors > log 2>&1 || true
    grep -q '^metrics: equal$' log && grep -q '^tensors: equal$' log || fail "stored features give other bits than the teacher ($*)"
}
same
same --set taught.batch=5 --set said.states=tokens --set taught.states=tokens
same --set taught.dropout=0.4
same --set said.dtype=bf16 --set taught.dtype=bf16
