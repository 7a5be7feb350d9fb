# Submission files from predictions of test sets that have no labels: names, headers, order, forms; what is missing
# is named.
set -u
fail() { echo "$1"; cat log; exit 1; }
mkdir -p data/RTE data/STS-B data/CoLA data/MNLI
printf 'index\tsentence1\tsentence2\n2\tprice is 3\tmoney\n0\tprice\tis\n1\ta\tb\n' > data/RTE/test.tsv
printf 'index\tsentence1\tsentence2\n0\tprice is 3\tmoney\n1\tprice\tis\n' > data/STS-B/test.tsv
printf 'index\tsentence\n0\tprice is 3\n1\tmoney\n' > data/CoLA/test.tsv
printf 'index\tpromptID\tpairID\tsentence1\tsentence2\n0\t31\t31n\tprice\tmoney\n' > data/MNLI/test_matched.tsv
cat > spec.json <<'EOF'
{"retort": 1, "name": "glue", "seeds": [1],
 "stages": {
  "start": {"do": "init", "task": "synth/match"},
  "score": {"do": "evaluate", "model": {"from": "start"}, "task": "glue/rte", "split": "test"}},
 "sweep": {"grid": {"score.task": ["glue/rte", "glue/stsb", "glue/cola", "glue/mnli"]}}}
EOF
export RETORT_DATA=data
"$RETORT" run spec.json > log 2>&1 || fail "test sets cannot be evaluated"
grep -q 'glue/rte/test has no labels: predictions are kept, there is no metric' log || fail "nothing is said of labels"
"$RETORT" export --glue sub spec.json > log 2>&1
test $? -eq 1 || fail "missing tasks give another exit code"
grep -q 'glue/qqp (QQP.tsv)' log || fail "QQP is not said to be missing"
grep -q 'RTE.tsv has 3 examples, the official test set of glue/rte 3000' log || fail "the number of examples is not told"
test "$(ls sub)" = "CoLA.tsv
MNLI-m.tsv
RTE.tsv
STS-B.tsv" || fail "other files: $(ls sub)"
tab=$(printf '\t')
for f in sub/*; do test "$(head -n 1 "$f")" = "index${tab}prediction" || fail "$f: header"; done
test "$(cut -f 1 sub/RTE.tsv | tail -n +2 | tr '\n' ' ')" = "0 1 2 " || fail "order of the index"
tail -n +2 sub/RTE.tsv | grep -vqE "^[0-9]${tab}(not_)?entailment\$" && fail "RTE wants names"
tail -n +2 sub/CoLA.tsv | grep -vqE "^[0-9]${tab}[01]\$" && fail "CoLA wants numbers"
tail -n +2 sub/STS-B.tsv | grep -vqE "^[0-9]${tab}[0-5]\.[0-9]{3}\$" && fail "STS-B wants scores"
tail -n +2 sub/MNLI-m.tsv | grep -vqE "^0${tab}(entailment|neutral|contradiction)\$" && fail "MNLI wants names"
# Two runs that predict the same test set: which?
sed 's/\[1\]/[2]/' spec.json > again.json
"$RETORT" run again.json > log 2>&1 || fail "a second seed"
"$RETORT" export --glue sub2 glue > log 2>&1
test $? -eq 2 || fail "two answers are taken for one"
grep -q 'predicted by several runs' log || fail "the two runs are not named"
