# Magnitude pruning: counts are exact in every scope, one-shot and while training; runs differ where they should.
set -eu
cat > spec.json <<'END'
{"retort": 1, "name": "mag", "seeds": [1],
 "stages": {
  "start": {"do": "init", "task": "synth/agreement"},
  "pruned": {"do": "prune/magnitude", "model": {"from": "start"}, "task": "synth/agreement", "ratio": 0.3}},
 "sweep": {"list": [
  {"label": "global", "pruned.scope": "global"},
  {"label": "layer", "pruned.scope": "layer"},
  {"label": "row", "pruned.scope": "row", "pruned.ratio": 0.25},
  {"label": "nm", "pruned.scope": "n:m", "pruned.ratio": 0.5},
  {"label": "chance", "pruned.order": "random"},
  {"label": "trained", "pruned.max_steps": 12, "pruned.every": 5}]}}
END
"$RETORT" run spec.json > log 2>&1 || { cat log; exit 1; }
# 2 blocks of 4 * 64 * 64 + 2 * 64 * 128 weights: 65,536; floor(0.3 N) = 19,660, by matrix 2 * (4 * 1228 + 2 * 2457) = 19,652.
"$RETORT" ls | awk '$4 == "pruned" {print $1}' | while read -r id; do
    "$RETORT" show "$id" | awk '$1 == "prune/ratio" {print $4}'; done | sort > got
sort > want <<'END'
0.299988
0.299866
0.25
0.5
0.299988
0.299988
END
diff want got || exit 1
# Only what trains has more to record: the others are not run again for it.
sed 's/"seeds": \[1\],/"seeds": [1], "record": {"weights": 4},/' spec.json > more.json
"$RETORT" run more.json > log 2>&1 || { cat log; exit 1; }
grep -q '^1 done, 0 failed, 6 cached' log || { cat log; exit 1; }
ids=$("$RETORT" ls | awk '$4 == "pruned" {print $1}' | head -n 2)
# shellcheck disable=SC2086 # two words
if "$RETORT" diff $ids --tensors > log; then echo "two scopes are said to be equal"; exit 1; fi
grep -q 'masks' log || { cat log; exit 1; }
