#!/bin/sh
# A table's LaTeX source compiles, with names that would be markup in it.
fail() { echo "$*"; exit 1; }
command -v pdflatex > /dev/null || { echo "pdflatex is not here"; exit 77; }
cat > spec.json <<'END'
{"retort": 1, "name": "t", "seeds": [1, 2],
 "stages": {
   "start": {"do": "init", "task": "synth/agreement", "layers": 1, "heads": 2},
   "pruned": {"do": "prune/heads", "model": {"from": "start"}, "order": "random", "ratio": 0},
   "result": {"do": "evaluate", "model": {"from": "pruned"}, "task": "synth/agreement", "split": "dev"}},
 "sweep": {"list": [{"label": "all \"heads\" <&_%> \\input{x} ^~#$ {"}, {"label": "none\nat all", "pruned.ratio": 1}]}}
END
cat > t.json <<'END'
{"table": 1, "title": "50 % & $x_1$ <b> \\end{table} -- `quoted'", "spec": "spec.json", "stage": "result", "scale": 100, "unit": "%",
 "rows": {"labels": ["all \"heads\" <&_%> \\input{x} ^~#$ {", "none\nat all"]},
 "columns": [{"name": "a [1]", "metric": "eval/synth/agreement/dev/accuracy"},
             {"name": "*loss*", "metric": "eval/synth/agreement/dev/loss", "scale": 0.01}],
 "show": ["std", "interval", "median", "n"], "compare": {"row": "none\nat all"}, "best": {"in": "columns"}}
END
"$RETORT" run spec.json -q 2> log || fail "the spec does not run: $(cat log)"
"$RETORT" table t.json --format latex --trace > table.tex 2> log || fail "no LaTeX: $(cat log)"
{ printf '%s\n' '\documentclass{article}' '\usepackage{booktabs}' '\begin{document}'; cat table.tex; printf '%s\n' '\end{document}'; } > paper.tex
pdflatex -interaction=nonstopmode -halt-on-error paper.tex > tex.log 2>&1 || fail "LaTeX: $(grep -A5 '^!' tex.log)"
[ -s paper.pdf ] || fail "no page came out"
