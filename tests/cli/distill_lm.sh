# A decoder of fewer blocks learns from a decoder, token by token; with alpha = beta = 0 it is fine-tuned, to the bit.
set -eu
fail() { echo "$1"; cat log; exit 1; }
if [ ! -e "${RETORT_SHARED-}/models/stories260k/stories260K.bin" ]; then
    echo "no RETORT_SHARED with models/stories260k"
    exit 77
fi
ln -s "$RETORT_SHARED/models/stories260k" teller
for i in 1 2 3 4 5 6 7 8 9; do
    for who in Lily Tom Ben Sue; do echo "Once upon a time $who had $i red balls and a little dog that liked to play in the park."; done
done > t.txt
cat > spec.json <<'END2'
{"retort": 1, "name": "tellers",
 "tasks": {"my/text": {"kind": "text", "files": {"train": "t.txt", "dev": "t.txt"}}},
 "stages": {
  "student": {"do": "distill/student", "model": "teller/stories260K.bin", "layers": 2},
  "taught": {"do": "distill/pkd", "model": {"from": "student"}, "teacher": "teller/stories260K.bin", "task": "my/text",
             "max_steps": 4, "batch": 4, "max_len": 32, "alpha": 0.5, "temperature": 2, "beta": 0, "scaling": "hinton", "lr": 0.001},
  "alone": {"do": "distill/pkd", "model": {"from": "student"}, "task": "my/text",
            "max_steps": 4, "batch": 4, "max_len": 32, "alpha": 0, "beta": 0, "lr": 0.001},
  "plain": {"do": "finetune", "model": {"from": "student"}, "task": "my/text", "max_steps": 4, "batch": 4, "max_len": 32, "lr": 0.001}}}
END2
"$RETORT" run spec.json > log 2>&1 || fail "run fails"
run_of() { "$RETORT" ls | awk -v s="$1" '$4 == s {print $1; exit}'; }
"$RETORT" show "$(run_of taught)" > log
awk '/train\/loss_soft/ {soft = ($NF > $(NF - 2))} END {exit !soft}' log || fail "the soft loss does not fall"
"$RETORT" diff "$(run_of alone)" "$(run_of plain)" --tensors > log 2>&1 || true
grep -q '^tensors: equal$' log || fail "without its terms it is not finetune"
