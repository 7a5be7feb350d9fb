#!/bin/sh
# The page of a sweep in Chromium, at 400 and 1,400 pixels, light and dark: tests/browser/report.js looks for faults.
fail() { echo "$*"; exit 1; }
command -v chromium > /dev/null || { echo "chromium is not here"; exit 77; }
timeout 100 chromium --headless --no-sandbox --disable-gpu --user-data-dir="$PWD/profile" --dump-dom about:blank > log 2>&1 ||
    { cat log; echo "chromium does not start here"; exit 77; }
cat > spec.json <<'END'
{"retort": 1, "name": "a page <b>of</b> \"all\"", "seeds": [1, 2],
 "stages": {
   "start": {"do": "init", "task": "synth/agreement", "layers": 2, "heads": 4},
   "tuned": {"do": "finetune", "model": {"from": "start"}, "task": "synth/agreement", "max_steps": 60, "split": "train[0:640]"},
   "heads": {"do": "analyze/heads", "model": {"from": "tuned"}, "task": "synth/agreement", "split": "train[0:100]"},
   "alone": {"do": "analyze/ablate", "model": {"from": "tuned"}, "task": "synth/agreement", "split": "train[0:100]"},
   "pruned": {"do": "prune/heads", "model": {"from": "tuned"}, "order": "random", "ratio": 0},
   "result": {"do": "evaluate", "model": {"from": "pruned"}, "task": "synth/agreement", "split": "dev"}},
 "sweep": {"list": [{"label": "importance & \"more\" <i>than one would like a name to be long in a narrow table of results</i>", "pruned.order": "importance", "pruned.scores": {"from": "heads"}}, {"label": "by\nchance"}],
           "grid": {"pruned.ratio": [0, 0.5, 1]}}}
END
cat > paper.json <<'END'
{"tables": [{"id": "1", "columns": ["removed", "by chance"], "rows": [[0, 0.7], [0.5, 0.6]]}]}
END
rows='[{"name": "importance", "where": {"pruned.order": "importance"}}, {"name": "by chance", "label": "by\nchance"}]'
cat > curve.json <<END
{"table": 1, "title": "Heads removed </caption>", "spec": "spec.json", "stage": "result", "scale": 100, "unit": "%",
 "metric": "eval/synth/agreement/dev/accuracy", "rows": $rows, "show": ["std", "interval"],
 "columns": {"variable": "pruned.ratio", "name": "removed", "scale": 100, "unit": "%"},
 "paper": {"file": "paper.json", "table": "1", "keys": "columns", "scale": 100}, "compare": {"row": "by chance"}, "best": {"in": "columns"}}
END
sed 's/"table": 1, "title": "[^"]*"/"table": 1, "title": "The same as bars", "plot": {"kind": "bars"}/' curve.json > bars.json
"$RETORT" run spec.json -q 2> log || fail "the spec does not run: $(cat log)"
"$RETORT" rm --yes "$("$RETORT" ls --ids stage=result seed=2 pruned.ratio=1 | head -n 1)" > log 2>&1 || fail "rm: $(cat log)"
"$RETORT" report spec.json -o page.html > log 2>&1
[ $? -eq 1 ] || fail "a report with a missing run: $(cat log)"
{ sed '/^<\/body>/,$d' page.html; echo '<script>'; cat "$SOURCE/tests/browser/report.js"; echo '</script></body></html>'; } > checked.html

browse() { # WIDTH THEME OPTION PAGE; a profile each time, or the switch would be remembered
    rm -rf profile
    chromium --headless --no-sandbox --disable-gpu --no-first-run --user-data-dir="$PWD/profile" --hide-scrollbars \
        --force-device-scale-factor=1 --window-size="$1",1000 --blink-settings=preferredColorScheme="$2" \
        --virtual-time-budget=4000 "$3" "file://$PWD/$4"
}

look() { # WIDTH THEME: 0 dark, 1 light
    browse "$1" "$2" --screenshot="$PWD/shot-$1-$2.png" page.html > shot.log 2>&1 ||
        fail "chromium does not run: $(tail -n 3 shot.log)"
    browse "$1" "$2" --dump-dom checked.html > dom.html 2> dom.log
    sed -n '/<pre id="verdict">/,/<\/pre>/p' dom.html > verdict
    grep -q '<pre id="verdict">good, ' verdict || fail "$1 pixels, theme $2: $(cat verdict; tail -n 3 dom.log)"
    [ -s "shot-$1-$2.png" ] || fail "no picture of the page"
}
look 400 1
look 400 0
look 1400 1
look 1400 0
cmp -s shot-1400-0.png shot-1400-1.png && fail "dark and light look the same"
exit 0
