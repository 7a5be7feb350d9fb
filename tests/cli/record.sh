# "record" keeps more of a run and changes none of its results: the digests stay, a record that covers the
# request is served from the store, one that does not makes the run again, fuller.
set -eu
fail() { echo "$1"; cat log; exit 1; }
spec() { # file, record of the whole, type
    cat > "$1" <<END
{"retort": 1, "name": "recorded", "record": $2,
 "stages": {
  "start": {"do": "init", "task": "synth/agreement"},
  "trained": {"do": "finetune", "model": {"from": "start"}, "task": "synth/agreement",
              "max_steps": 7, "accumulate": 2, "batch": 64, "max_len": 64, "dtype": "${3-f32}"},
  "pruned": {"do": "prune/heads", "model": {"from": "trained"}, "order": "random", "ratio": 0.5},
  "result": {"do": "evaluate", "model": {"from": "pruned"}, "task": "synth/agreement"}}}
END
}
results() { "$RETORT" ls --store "$1" | awk '$2 == "sealed" {print $1}' | sort | while read -r id; do
    "$RETORT" show "$id" --store "$1" | grep '^run \|^result '; done; }
parts() { (cd "$1" && find . -path '*/parts/*' | sort); }

for dtype in f32 bf16; do
    spec plain.json '"default"' $dtype
    spec all.json '"all"' $dtype
    "$RETORT" run plain.json --store plain-$dtype > log 2>&1 || fail "the plain run fails"
    "$RETORT" run all.json --store all-$dtype > log 2>&1 || fail "the recorded run fails"
    results plain-$dtype > one
    results all-$dtype > two
    cmp one two || fail "recording changes the results in $dtype"
done
[ -z "$(parts plain-f32)" ] || fail "the default record keeps snapshots"
[ "$(parts all-f32 | wc -l)" -eq 8 ] || fail "all is not 7 steps and an evaluation"

# Snapshots have the same bytes, recorded at once or later.
spec plain.json '"default"'
spec some.json '{"weights": 3, "attention": {"every": 6, "examples": 2}}'
"$RETORT" run some.json --store plain-f32 > log 2>&1 || fail "recording later fails"
grep -q '2 done, 0 failed, 2 cached' log || fail "not just training and evaluation are made again"
results plain-f32 > one
results all-f32 > two
cmp one two || fail "recording later changes the results"
"$RETORT" run some.json --store fresh > log 2>&1 || fail "the run with some fails"
parts fresh > one
parts plain-f32 > two
[ "$(wc -l < one)" -eq 4 ] || fail "not 3 steps and an evaluation"
cmp one two || fail "snapshots made later have other names"
while read -r f; do cmp "fresh/$f" "plain-f32/$f" || fail "$f differs"; done < one

# Covered: less often, fewer examples, less of it.
spec less.json '{"weights": 6, "attention": {"every": 12, "examples": 1}}'
"$RETORT" run less.json --store fresh > log 2>&1
grep -q '0 done, 0 failed, 4 cached' log || fail "a poorer record is not served"
# Not covered: the run is made again with what covers both.
spec other.json '{"gradients": 5}'
"$RETORT" plan other.json --store fresh > log 2>&1
grep -q 'rerun.*its record lacks' log || fail "the plan does not say that the record lacks something"
"$RETORT" run other.json --store fresh > log 2>&1 || fail "making it fuller fails"
grep -q '1 done, 0 failed, 3 cached' log || fail "more than training is made again"
for s in some.json less.json other.json plain.json; do
    "$RETORT" run $s --store fresh > log 2>&1
    grep -q '0 done, 0 failed, 4 cached' log || fail "$s is not served by the fuller run"
done
# A snapshot that is lost is noticed by those who ask for it.
f=$(parts fresh | head -n 1)
rm -f "fresh/$f"
"$RETORT" plan plain.json --store fresh > log 2>&1
grep -q '4 cached' log || fail "a lost snapshot matters to the default record"
"$RETORT" run some.json --store fresh > log 2>&1 || fail "making a lost snapshot again fails"
grep -q '1 done, 0 failed, 3 cached' log || fail "a lost snapshot is not made again"
[ -e "fresh/$f" ] || fail "the lost snapshot is not there again"

# The plan forecasts the disk from an earlier run: 12 steps where that had 7.
bytes_of() { awk -v id="\"id\": \"$1" 'index($0, id) {on = 1} on && /"bytes"/ {gsub(/[^0-9]/, ""); print; exit}'; }
sed 's/"max_steps": 7/"max_steps": 12/' some.json > longer.json
want=$("$RETORT" plan longer.json --store fresh --json | awk '/"id"/ {id = $2} /"stage": "trained"/ {gsub(/[",]/, "", id); print id}')
told=$("$RETORT" plan longer.json --store fresh --json | bytes_of "$want")
"$RETORT" run longer.json --store fresh > log 2>&1 || fail "the longer run fails"
took=$("$RETORT" ls --store fresh --json | bytes_of "$want")
[ $((told * 10)) -gt $((took * 9)) ] && [ $((told * 9)) -lt $((took * 10)) ] \
    || fail "the plan said $told bytes, it took $took"

# A stage's own record stands in place of the whole one; what it cannot give is an error.
cat > own.json <<'END'
{"retort": 1, "name": "own",
 "stages": {
  "start": {"do": "init", "task": "synth/agreement"},
  "result": {"do": "evaluate", "model": {"from": "start"}, "task": "synth/agreement",
             "record": {"attention": {"every": 1, "examples": "all"}}}}}
END
"$RETORT" run own.json --store own > log 2>&1 || fail "a stage's own record fails"
[ "$(parts own | wc -l)" -eq 1 ] || fail "a stage's own record is not kept"
sed 's/"attention": {[^}]*}/"gradients": 3, "atention": 1, "activations": {"evry": 2}, "weights": 0/' \
    own.json > bad.json
"$RETORT" plan bad.json > out 2> log && fail "a wrong record passes"
for want in 'evaluate has no gradients' 'did you mean "attention"' 'did you mean "every"' \
    'evaluate has no weights' 'needs "every"'; do
    grep -q "bad.json:5:.*$want" log || fail "no word of: $want"
done
spec bad.json '{"weights": 0, "gradients": {"every": 2, "examples": 3}, "attention": "x"}'
"$RETORT" plan bad.json > out 2> log && fail "a wrong record passes"
for want in 'at least 1' 'not of examples' 'every so many steps'; do
    grep -q "bad.json:1:.*$want" log || fail "no word of: $want"
done

# The first element that differs is found in the snapshots too; what only one recorded is no difference.
cat > two.json <<'END'
{"retort": 1, "name": "two", "seeds": [1, 2],
 "stages": {
  "start": {"do": "init", "task": "synth/agreement", "seed": 1},
  "trained": {"do": "finetune", "model": {"from": "start"}, "task": "synth/agreement", "max_steps": 2, "record": {"gradients": 1}}}}
END
"$RETORT" run two.json --store pair > log 2>&1 || fail "two seeds fail"
"$RETORT" ls --store pair | awk '$4 == "trained" {print $1}' > ids
# shellcheck disable=SC2046 # two ids
"$RETORT" diff $(cat ids) --tensors --store pair > log 2>&1 && fail "two seeds do not differ"
grep -q '/steps/0/gradients/classifier.weight\[0, 0\]: ' log || fail "snapshots are not compared"
