#!/bin/sh
# A table of comparisons in every format, as its user asks for it; measures that differ are refused.
fail() { echo "$*"; exit 1; }
cat > spec.json <<'END'
{"retort": 1, "name": "t", "seeds": [1, 2, 3],
 "stages": {
   "start": {"do": "init", "task": "synth/agreement", "layers": 1, "heads": 2},
   "pruned": {"do": "prune/heads", "model": {"from": "start"}, "order": "random", "ratio": 0},
   "result": {"do": "evaluate", "model": {"from": "pruned"}, "task": "synth/agreement", "split": "dev"},
   "part": {"do": "evaluate", "model": {"from": "pruned"}, "task": "synth/agreement", "split": "train[0:100]"}},
 "sweep": {"list": [{"label": "all \"heads\" <&_%>"}, {"label": "none", "pruned.ratio": 1}]}}
END
cat > t.json <<'END'
{"table": 1, "title": "50 % & $x_1$ <b>", "spec": "spec.json", "stage": "result", "scale": 100,
 "rows": {"labels": ["all \"heads\" <&_%>", "none"]},
 "columns": [{"name": "a [1]", "metric": "eval/synth/agreement/dev/accuracy"},
             {"name": "loss", "metric": "eval/synth/agreement/dev/loss", "scale": 0.01}],
 "show": ["std", "interval", "median", "n"], "compare": {"row": "none"}, "best": {"in": "columns"}}
END
"$RETORT" run spec.json -q 2> log || fail "the spec does not run: $(cat log)"
for f in md latex csv html json; do
    "$RETORT" table t.json --format $f > out.$f 2> log || fail "--format $f: exit code $?: $(cat log)"
    "$RETORT" table t.json --format $f --trace > trace.$f || fail "--format $f --trace fails"
done
grep -q '| all "heads" &lt;&\\_%> | ' out.md || fail "md: $(cat out.md)"
grep -q '^all \\texttt{\\char34}heads\\texttt{\\char34} \\textless{}\\&\\_\\%\\textgreater{} & ' out.latex || fail "latex: $(cat out.latex)"
grep -q '<th scope="row">all &quot;heads&quot; &lt;&amp;_%&gt;</th><td>' out.html || fail "html: $(cat out.html)"
grep -q '^"all ""heads"" <&_%>",a \[1\],ok,3,3,' out.csv || fail "csv: $(cat out.csv)"
[ "$(grep -c 'seed 3 [0-9a-f]\{10\} ' trace.md)" -eq 4 ] || fail "the runs are not traced: $(cat trace.md)"
[ "$(wc -l < trace.csv)" -eq 13 ] || fail "csv with --trace: $(cat trace.csv)"
grep -q "Holm's correction over 2 tests" out.md || fail "the tests are not told: $(cat out.md)"

# Over examples; and what cannot be compared.
sed 's/"compare"/"test": {"over": "examples", "resamples": 100}, "compare"/' t.json > e.json
"$RETORT" table e.json | grep -q 'bootstrap of examples' || fail "no bootstrap of examples"
sed 's/"compare"/"seeds": [2], "test": {"over": "examples", "resamples": 100}, "compare"/' t.json > m.json
"$RETORT" table m.json --format json | grep -q '"test": "McNemar"' || fail "one seed is not tested by McNemar's test"
cat > other.json <<'END'
{"table": 1, "spec": "spec.json",
 "rows": [{"name": "dev", "label": "none", "stage": "result", "metric": "eval/synth/agreement/dev/accuracy"},
          {"name": "part", "label": "none", "stage": "part", "metric": "eval/synth/agreement/train[0:100]/accuracy"}],
 "columns": [{"name": "accuracy"}], "compare": {"row": "dev"}}
END
"$RETORT" table other.json 2> log && fail "other splits are compared"
grep -q 'cell (part, accuracy) cannot be compared with (dev, accuracy): the metric of run [0-9a-f]* is' log || fail "refused with: $(cat log)"
sed 's/"dev"}/"dev", "columm": 1}/; s/"seeds"/"seed"/' other.json > wrong.json
"$RETORT" table wrong.json 2> log && fail "a wrong declaration is taken"
grep -q 'did you mean "column"' log || fail "no suggestion: $(cat log)"

# How many seeds it takes.
"$RETORT" power t.json --difference 5 > power || fail "power: exit code $?"
grep -q '^row .* needed  more$' power || fail "power tells: $(cat power)"
"$RETORT" power t.json --json | grep -q '"seeds": 3' || fail "power --json"
"$RETORT" power e.json 2> log && fail "power over examples"
grep -q 'to "test": {"over": "seeds"}' log || fail "power over examples: $(cat log)"
"$RETORT" power t.json --difference 0 2> log && fail "power of no difference"
sed 's/"compare": {"row": "none"}, //' t.json > n.json
"$RETORT" power n.json 2> log && fail "power without a baseline"
grep -q 'nothing is compared' log || fail "power without a baseline: $(cat log)"
