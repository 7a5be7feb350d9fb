# Numbers of another program become runs, stand in a table beside ours, and are refused where they speak of something else.
fail() { echo "$*"; exit 1; }
cat > spec.json <<'END'
{"retort": 1, "name": "t", "seeds": [1, 2, 3],
 "stages": {
   "start": {"do": "init", "task": "synth/agreement", "layers": 1, "heads": 2},
   "result": {"do": "evaluate", "model": {"from": "start"}, "task": "synth/agreement", "split": "dev"}}}
END
"$RETORT" run -q spec.json 2> log || fail "run: $(cat log)"
printf '{"seed": 1, "dev_accuracy": 0.5, "note": "\\u00e9, \\"x\\""}\n\n{"seed": 2, "dev_accuracy": 0.625}\n{"seed": 3, "dev_accuracy": 0.75, "late": 1}\n' > torch.jsonl
bring() { "$RETORT" import "$@" --task synth/agreement --split dev > out 2> log; }
bring torch.jsonl -n torch -m accuracy=dev_accuracy || fail "exit code $?: $(cat log)"
grep -q '^torch.jsonl: 3 runs imported; .*"import:torch"$' log || fail "told: $(cat log)"
bring torch.jsonl -n torch -m accuracy=dev_accuracy || fail "a second time"
grep -q '0 runs imported, 3 were there already' log || fail "a second time: $(cat log)"
test "$("$RETORT" ls --ids spec=torch method=foreign | wc -l)" -eq 3 || fail "$("$RETORT" ls)"
"$RETORT" show "$("$RETORT" ls --ids spec=torch seed=2)" | grep -q 'stage  *imported (foreign)' || fail "show"

cat > t.json <<'END'
{"table": 1, "spec": "spec.json", "stage": "result", "metric": "eval/synth/agreement/dev/accuracy", "scale": 100,
 "rows": [{"name": "ours"}, {"name": "theirs", "stage": "import:torch"}], "columns": [{"name": "accuracy"}],
 "compare": {"row": "theirs"}}
END
"$RETORT" table t.json > out || fail "table: $(cat out)"
grep -q '^| theirs | 62.5 ± 12.5‡ |$' out || fail "table: $(cat out)"
grep -q '‡: imported, measured by another program (1)' out || fail "no legend: $(cat out)"
"$RETORT" table t.json --format latex | grep -q '\$^{\\ddagger}\$' || fail "latex"
"$RETORT" table t.json --format json | grep -q '"imported": 3' || fail "json"

# CSV: quotes, CRLF, variables, per cent, steps of a series.
printf 'seed,"ratio, kept",acc,step,loss\r\n1,0.50,70,0,2\r\n1,0.50,80,10,1\r\n2,"0.5",90,10,0.5\r\n1,none,60,10,3\r\n' > more.csv
bring more.csv -n csv -m accuracy=acc -m train/loss=loss --variable 'pruned.ratio=ratio, kept' --step step --percent || fail "csv: $(cat log)"
grep -q '^more.csv: 3 runs' log || fail "csv: $(cat log)"
sed 's/"stage": "import:torch"/"stage": "import:csv", "where": {"pruned.ratio": 0.5}/; s/"stage": "result"/"seeds": [1, 2], &/' t.json > c.json
"$RETORT" table c.json | grep -q '^| theirs | 85.0 ± 7.1‡' || fail "csv in a table: $("$RETORT" table c.json)"
"$RETORT" export --csv csv -m train/loss --steps | grep -q '^csv,imported,foreign,1,0.5,,,train/loss,10,1,' || fail "csv out: $("$RETORT" export --csv csv --steps)"
"$RETORT" export -q --notebook nb t.json || fail "notebook of a table with imported runs"

# Another split, another digest: not in one comparison.
"$RETORT" import torch.jsonl -n elsewhere -m accuracy=dev_accuracy --task synth/agreement --split dev --data \
    0123456789012345678901234567890123456789012345678901234567890123 -q || fail "--data"
sed 's/import:torch/import:elsewhere/' t.json > e.json
"$RETORT" table e.json 2> log && fail "other data are compared"
grep -q 'cannot be compared' log || fail "other data: $(cat log)"
sed 's/import:torch/import:nobody/' t.json > e.json
"$RETORT" table e.json 2> log
test $? -eq 3 || fail "imports that are not there: $(cat log)"

refused() { # MESSAGE ARGUMENTS
    want=$1
    shift
    "$RETORT" import "$@" 2> log
    test $? -eq 2 || fail "$*: $(cat log)"
    grep -qF -- "$want" log || fail "$*: $(cat log)"
}
on="--task synth/agreement --split dev -n x"
# shellcheck disable=SC2086 # words
{
refused 'stands for nothing' torch.jsonl -n x -m accuracy=dev_accuracy
refused 'has no such split' torch.jsonl --task synth/agreement --split def -n x -m accuracy=dev_accuracy
refused 'there is no such task' torch.jsonl --task glue/mprc --split dev -n x -m accuracy=dev_accuracy
refused 'has no such metric; it has accuracy' torch.jsonl $on -m f1=dev_accuracy
refused 'did you mean "dev_accuracy"' torch.jsonl $on -m accuracy=dev_acuracy
refused 'accuracy lies within 0 and 1; --percent' more.csv $on -m accuracy=acc --step step --variable 'r=ratio, kept'
refused 'lines 2 and 3 are of the same seed (1)' more.csv $on -m train/loss=loss
refused 'a number is right' more.csv $on -m 'accuracy=ratio, kept' --step step --variable a=acc
refused 'a whole number from 0 is right' torch.jsonl $on -m accuracy=dev_accuracy --seed dev_accuracy
refused 'write NAME=COLUMN' torch.jsonl $on -m accuracy
refused 'is no SHA-256' torch.jsonl $on -m accuracy=dev_accuracy --data abc
refused 'say --format' spec.txt $on -m accuracy=x
printf '{"seed": 1,\n' > bad.jsonl
refused 'bad.jsonl, line 1' bad.jsonl $on -m accuracy=x
printf 'seed,x\n1,"a\n' > bad.csv
refused 'never closed' bad.csv $on -m accuracy=x
printf 'seed,x\n1\n' > bad.csv
refused 'has 1 fields, the header 2' bad.csv $on -m accuracy=x
printf 'seed,seed\n' > bad.csv
refused 'two columns' bad.csv $on -m accuracy=x
printf 'seed,x\n' > bad.csv
refused 'has no rows' bad.csv $on -m accuracy=x
printf 'seed,x\n1,\377\n' > bad.csv
refused 'no UTF-8' bad.csv $on -m accuracy=x
head -c 3000 "$(find runs -name run.h5 | head -n 1)" > bad.h5
refused 'bad.h5' bad.h5 $on -m accuracy=x
}
test -z "$("$RETORT" ls --ids spec=x)" || fail "a refused import left runs"
