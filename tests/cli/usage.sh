# Wrong usage: exit code 2 and a line that says what was wrong.
set -u
"$RETORT" frobnicate > out 2> err
test $? -eq 2 && grep -q 'no verb is named "frobnicate"' err || { cat err; exit 1; }
"$RETORT" run --threads zero x.json > out 2> err
test $? -eq 2 && grep -q -- '--threads is "zero"' err || { cat err; exit 1; }
"$RETORT" list methods prune/heads | grep -q '^  ratio' || exit 1
printf '{"retort": 1, "name": "x", "stages": {"a": {"do": "evaluate", "modle": "m"}}}' > bad.json
"$RETORT" run bad.json > out 2> err
test $? -eq 2 && grep -q 'bad.json:1:' err && grep -q 'did you mean "model"' err || { cat err; exit 1; }
