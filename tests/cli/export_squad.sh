# A model of spans is trained, evaluated and exported in run_squad's form: the official scores of the exported files are
# the run's own, n-best lists are whole, null odds are there where there may be no answer.
set -u
fail() { echo "$1"; cat log out 2> /dev/null; exit 1; }
data() { # FILE VERSION: ten questions, in version 2 each third without an answer
    awk -v v="$2" 'BEGIN {
        n = split("falcon queen wave bridge market harbour bread fish rice town", w, " ")
        printf "{\"version\": \"%s\", \"data\": [{\"title\": \"t\", \"paragraphs\": [", v
        for (i = 1; i <= n; i++) {
            no = v == "v2.0" && i % 3 == 0
            printf "%s{\"context\": \"now the caf\303\251 %s then here\", \"qas\": [{\"id\": \"q%d\", \"question\": \"which town\", ", (i > 1 ? ", " : ""), w[i], i
            if (no) printf "\"is_impossible\": true, \"answers\": []}]}"
            else printf "\"answers\": [{\"text\": \"%s\", \"answer_start\": 13}]}]}", w[i]
        }
        print "]}]}" }' > "$1"
}
data one.json 1.1
data two.json v2.0
cat > spec.json <<'EOF'
{"retort": 1, "name": "spans", "seeds": [1],
 "tasks": {"my/one": {"kind": "span", "files": {"train": "one.json", "dev": "one.json"}},
           "my/two": {"kind": "span", "no_answer": true, "files": {"train": "two.json", "dev": "two.json"}}},
 "stages": {
  "start": {"do": "init", "task": "synth/span", "layers": 1, "width": 32, "heads": 2, "ffn": 64},
  "one": {"do": "finetune", "model": {"from": "start"}, "task": "my/one", "lr": 0.01, "max_steps": 6, "max_len": 32},
  "two": {"do": "finetune", "model": {"from": "start"}, "task": "my/two", "lr": 0.01, "max_steps": 6, "max_len": 32},
  "said1": {"do": "evaluate", "model": {"from": "one"}, "task": "my/one", "max_len": 32, "n_best": 5},
  "said2": {"do": "evaluate", "model": {"from": "two"}, "task": "my/two", "max_len": 32}}}
EOF
"$RETORT" run spec.json > log 2>&1 || fail "spans are not learned"
for k in 1 2; do
    run=$("$RETORT" ls stage=said$k --ids)
    "$RETORT" export --squad out$k "$run" > out 2>&1 || fail "export"
    file=$([ $k = 1 ] && echo one.json || echo two.json)
    odds=$([ $k = 1 ] || echo "--null-odds out2/null_odds.json")
    # shellcheck disable=SC2086
    "$RETORT" score "$file" out$k/predictions.json $odds > out 2>&1 || fail "the exported files cannot be scored"
    for m in exact_match f1; do # "exact_match": 70 is 0.7 in the run
        key=$m
        [ $k = 1 ] || [ $m = f1 ] || key=exact
        theirs=$(sed -n "s/.*\"$key\": \\([0-9.]*\\).*/\\1/p" out | head -n 1)
        ours=$("$RETORT" show "$run" | awk -v m="/$m" 'index($1, m) { print 100 * $NF; exit }')
        [ -n "$theirs" ] && awk -v a="$theirs" -v b="$ours" 'BEGIN { exit !(b != "" && a - b < 0.01 && b - a < 0.01) }' ||
            fail "$m of run $k: $theirs in the exported file, $ours in the run"
    done
done
[ "$(ls out1 | tr '\n' ' ')" = "nbest_predictions.json predictions.json " ] || fail "version 1 has other files: $(ls out1)"
[ "$(ls out2 | tr '\n' ' ')" = "nbest_predictions.json null_odds.json predictions.json " ] || fail "version 2: $(ls out2)"
[ "$(grep -o '"q[0-9]*"' out2/null_odds.json | sort -u | wc -l)" = 10 ] || fail "null odds of all questions"
[ "$(grep -c '"probability"' out1/nbest_predictions.json)" -le 50 ] || fail "more than n_best answers"
"$RETORT" export --squad out3 "$("$RETORT" ls stage=one --ids)" > out 2>&1 && fail "a run without answers is exported"
grep -q "has no answers to export" out || fail "why it cannot be exported is not told"
[ ! -e out3 ] || fail "something is left of what could not be exported"
