#!/bin/sh
# A sweep as one page: its tables, runs and pins, what is missing, and names that would be markup.
fail() { echo "$*"; exit 1; }
cat > 'sp ec.json' <<'END'
{"retort": 1, "name": "</title><script>alert(1)</script>", "seeds": [1, 2],
 "stages": {
   "start": {"do": "init", "task": "synth/agreement", "layers": 2, "heads": 2},
   "tuned": {"do": "finetune", "model": {"from": "start"}, "task": "synth/agreement", "max_steps": 5, "split": "train[0:200]"},
   "pruned": {"do": "prune/heads", "model": {"from": "tuned"}, "order": "random", "ratio": 0},
   "result": {"do": "evaluate", "model": {"from": "pruned"}, "task": "synth/agreement", "split": "dev"}},
 "sweep": {"list": [{"label": "\"a\"\n<b onload='x'>&amp;"}, {"label": "half", "pruned.ratio": 0.5}]}}
END
cat > t.json <<'END'
{"table": 1, "title": "<img src=x onerror=alert(1)>\n\"two\" 'lines'", "spec": "sp ec.json", "stage": "result", "scale": 100,
 "metric": "eval/synth/agreement/dev/accuracy", "rows": [{"name": "</td><td>all", "label": "\"a\"\n<b onload='x'>&amp;"}, {"name": "half", "label": "half"}],
 "columns": [{"name": "accuracy & \"more\""}], "plot": {"kind": "bars", "x": "<x>", "y": "</svg>"}}
END
echo '{"table": 1, "spec": "other.json"}' > unrelated.json
echo 'no json' > broken.json
mkdir 'sub dir'

# Nothing was run yet: a page all the same.
mkdir runs
"$RETORT" report 'sp ec.json' -o empty.html > out 2> log
[ $? -eq 1 ] || fail "an empty store: exit code, $(cat log)"
grep -q '12 of 12 jobs have no result' log || fail "an empty store: $(cat log)"
grep -q '<h2 id="missing">Not there</h2>' empty.html || fail "an empty store: no list of what is missing"

"$RETORT" run 'sp ec.json' -q 2> log || fail "the spec does not run: $(cat log)"
SOURCE_DATE_EPOCH=0 "$RETORT" report 'sp ec.json' -o 'sub dir/page.html' > out 2> log || fail "report: exit code $?: $(cat log)"
[ "$(cat out)" = 'sub dir/page.html' ] || fail "report prints $(cat out)"
page='sub dir/page.html'
grep -q '1970-01-01 00:00 UTC' "$page" || fail "SOURCE_DATE_EPOCH is not honoured"
[ "$(grep -c '<script>' "$page")" -eq 1 ] || fail "a name became a script"
grep -q '<title>&lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt;</title>' "$page" || fail "the title is not escaped"
grep -qE '<(img|b|x)[ >]' "$page" && fail "a name became an element: $(grep -nE '<(img|b|x)[ >]' "$page" | head -3)"
grep -q '<th scope="row">&lt;/td&gt;&lt;td&gt;all</th>' "$page" || fail "a row's name: $(grep 'scope="row"' "$page" | head -3)"
grep -qE '(src|href)="(https?:)?//' "$page" && fail "the page asks a network"
# Each run has its row, and each link leads somewhere.
for id in $("$RETORT" ls --ids); do
    grep -q "<tr id=\"run-$id\">" "$page" || fail "run $id is not there"
    [ -f "sub dir/../runs/$(echo "$id" | cut -c 1-2)/$id/run.h5" ] || fail "no file of $id"
    grep -q "href=\"../runs/$(echo "$id" | cut -c 1-2)/$id/run.h5\"" "$page" || fail "no link to the file of $id"
done
grep -oE 'href="#[^"]*"' "$page" | sort -u | sed 's/href="#//; s/"$//' > links
while read -r to; do grep -q "id=\"$to\"" "$page" || fail "nothing has the id $to"; done < links
grep -oE ' id="[^"]*"' "$page" | sort | uniq -d > twice
[ -s twice ] && fail "ids that are there twice: $(cat twice)"

# A device stays one.
if [ -c /dev/full ]; then
    "$RETORT" report 'sp ec.json' -o /dev/full > out 2> log && fail "a full device took the page"
    [ -c /dev/full ] || fail "a page lies in the place of a device"
    "$RETORT" report 'sp ec.json' -o /dev/stdout 2> log | grep -q '^</html>' || fail "no page on a pipe: $(cat log)"
fi

# Of a table alone; of two sweeps; of a failed job.
"$RETORT" report t.json -o table.html > out 2> log || fail "report of a table: exit code $?: $(cat log)"
sed 's/half/third/g' 'sp ec.json' > other.json
"$RETORT" report t.json other.json 2> log && fail "a report of two sweeps"
grep -q 'a report is of one sweep' log || fail "a report of two sweeps: $(cat log)"
"$RETORT" report missing.json 2> log
[ $? -ne 0 ] || fail "a report of nothing"
"$RETORT" rm --yes "$("$RETORT" ls --ids stage=result seed=2 label=half)" > out 2>&1 || fail "rm: $(cat out)"
"$RETORT" report t.json -o table.html > out 2> log && fail "exit code of a report with missing runs"
grep -q '<td class="text bad">not run</td>' table.html || fail "a missing run is not told"
exit 0
