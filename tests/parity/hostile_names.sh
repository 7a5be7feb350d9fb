#!/bin/sh
# Names with quotes, line ends, markup of LaTeX, HTML, SVG and gnuplot, path separators: parsers of each format read back
# what was declared, from tables, plots and the page of a sweep.
fail() { echo "$*"; exit 1; }
[ -n "${RETORT_PYTHON-}" ] || { echo "RETORT_PYTHON is not set"; exit 77; }
cat > make.py <<'END'
import json
label = "a \"b\" 'c'\n</td><script>alert(1)</script>&amp; \\input{x} $_%#{}^~ ../../etc/passwd `date` @{/=50 big} , ; =x é"
other = " ' or 1=1 -- \r\n<!-- ]]> -->"
title = "T </title></svg></style> \\end{table} '\n`id` \"q\""
task = "ev/il ..\\<b> \"t\""
spec = {"retort": 1, "name": "n</h1>/../\"x\"\n<b>", "seeds": [1, 2],
        "stages": {"st": {"do": "init", "task": "synth/agreement", "layers": 1, "heads": 2},
                   "fine": {"do": "finetune", "model": {"from": "st"}, "task": "synth/agreement", "max_steps": 3, "split": "train[0:96]"},
                   "pruned": {"do": "prune/heads", "model": {"from": "fine"}, "order": "random", "ratio": 0},
                   "result": {"do": "evaluate", "model": {"from": "pruned"}, "task": "synth/agreement", "split": "dev"}},
        "sweep": {"list": [{"label": label, "pruned.ratio": 0}, {"label": other, "pruned.ratio": 1}]}}
json.dump(spec, open("spec <b>'\".json", "w"))
table = {"table": 1, "title": title, "spec": "spec <b>'\".json", "stage": "result", "metric": "eval/synth/agreement/dev/accuracy",
         "unit": "<u>%", "rows": {"labels": [label, other]}, "columns": [{"name": "c|d \"e\"\n<f>"}, {"name": "\\\\ & g"}],
         "plot": {"kind": "bars", "x": "x </text> 'y'", "y": "{/Bold z} \"\""}, "compare": {"row": label}, "best": {"in": "columns"}}
json.dump(table, open("t.json", "w"))
del table["plot"]["kind"]
json.dump(dict(table, columns={"variable": "pruned.ratio", "name": "n'\n<x>", "values": [0]}, rows=[{"name": label, "label": label}],
               compare={"row": label}), open("lines.json", "w"))
json.dump(dict(table, plot=dict(table["plot"], kind="map")), open("map.json", "w"))
END
"$RETORT_PYTHON" make.py || fail "make.py"
"$RETORT" run "spec <b>'\".json" -q 2> log || fail "the spec does not run: $(cat log)"
for f in md latex csv html json; do
    "$RETORT" table t.json --format $f > out.$f 2> log || fail "$f: $(cat log)"
    "$RETORT" table t.json --format $f --trace > trace.$f 2> log || fail "$f --trace: $(cat log)"
done
mkdir "it's a <folder>"
for k in t lines map; do
    "$RETORT" plot $k.json --out "it's a <folder>/$k 'x'" > log 2>&1 || fail "plot $k: $(cat log)"
done
"$RETORT" report "spec <b>'\".json" -o "it's a <folder>/p.html" > log 2>&1 || fail "report: $(cat log)"
"$RETORT" export --csv "spec <b>'\".json" -q > runs.csv || fail "export --csv"
cat > check.py <<'END'
import csv, html.parser, json, re, xml.etree.ElementTree as xml
names = {}
exec(open("make.py").read().split("spec =")[0], names)
label, other, title = names["label"], names["other"], names["title"]
columns = [c["name"] for c in json.load(open("t.json"))["columns"]]
seen = lambda s: "".join(" " if c in "\n\r\t" else c for c in s)  # what people see: one line
fold = lambda s: " ".join(s.split())

# CSV and JSON give the names back to the byte.
rows = list(csv.DictReader(open("out.csv", newline="")))
assert [(r["row"], r["column"]) for r in rows] == [(a, b) for a in (label, other) for b in columns], rows
runs = list(csv.DictReader(open("trace.csv", newline="")))
assert len(runs) == 8 and {r["row"] for r in runs} == {label, other}, runs
told = json.load(open("out.json"))
assert told["title"] == title and {c["row"] for c in told["cells"]} == {label, other} and {c["column"] for c in told["cells"]} == set(columns)
assert {r["label"] for r in csv.DictReader(open("runs.csv", newline="")) if r.get("label")} == {label, other}

# HTML: the same elements as of a harmless table, the names as text.
class Reader(html.parser.HTMLParser):
    void = {"meta", "path", "rect", "link", "br"}
    def __init__(self):
        super().__init__()
        self.stack, self.tags, self.cells, self.scripts, self.title = [], set(), [], 0, None
    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        assert not any(k.startswith("on") for k, v in attrs), (tag, attrs)
        assert all(not (v or "").lower().startswith(("javascript:", "http:", "https:", "//")) for k, v in attrs if k in ("href", "src")), attrs
        self.scripts += tag == "script"
        if tag not in self.void:
            self.stack.append(tag)
        if tag in ("th", "caption", "title", "h1"):
            self.cells.append([tag, ""])
    def handle_endtag(self, tag):
        if tag in self.void:
            return
        assert self.stack and self.stack[-1] == tag, (tag, self.stack, self.getpos())
        self.stack.pop()
    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)
    def handle_data(self, data):
        if self.stack and self.cells and set(self.stack) & {"th", "caption", "title", "h1"}:
            self.cells[-1][1] += data
def read(path):
    r = Reader()
    r.feed(open(path, encoding="utf-8").read())
    r.close()
    assert not r.stack, r.stack
    return r
for path in ("out.html", "trace.html"):
    r = read(path)
    assert r.tags <= {"table", "caption", "thead", "tbody", "tr", "th", "td", "p", "sup", "strong", "details", "summary", "ul", "li"}, r.tags
    texts = [fold(t) for _, t in r.cells]
    assert all(fold(seen(n)) in texts for n in (label, other, title, *columns)), texts
page = read("it's a <folder>/p.html")
texts = [fold(t) for _, t in page.cells]
assert page.scripts == 1 and not page.tags & {"b", "img", "u", "x", "f", "iframe"}, page.tags
assert all(fold(seen(n)) in texts for n in (label, other, title, *columns, json.load(open("spec <b>'\".json"))["name"])), texts

# Markdown: as many cells in each line, and nothing that is markup.
lines = [l for l in open("out.md").read().split("\n") if l.startswith("|")]
assert len(lines) == 4 and all(len(re.findall(r"(?<!\\)\|", l)) == 4 for l in lines), lines
assert "<script" not in open("out.md").read() and "<b>" not in open("out.md").read()

# LaTeX: each special character escaped.
tex = open("out.latex").read()
body = tex[tex.index("\\midrule"):tex.index("\\bottomrule")]
assert "\\input{x}" not in tex.replace("\\textbackslash{}input", "") and tex.count("\\end{table}") == 1, tex
assert len([l for l in body.split("\n") if l.endswith("\\\\")]) == 2, body

# The SVG of gnuplot, and those in the page: well-formed, with the names as text.
for k in ("t", "lines", "map"):
    root = xml.parse(f"it's a <folder>/{k} 'x'.svg").getroot()
    text = fold("".join(root.itertext()))
    assert fold(seen(title)) in text, text
    assert fold(seen(label))[:40] in text, text  # a key cuts long names
    assert not [e for e in root.iter() if e.tag.endswith("script")]
for svg in re.findall(r'<svg class="plot".*?</svg>', open("it's a <folder>/p.html", encoding="utf-8").read(), re.S):
    xml.fromstring(svg)
print("good")
END
LC_ALL=C.UTF-8 "$RETORT_PYTHON" check.py > verdict 2>&1 || fail "$(tail -n 4 verdict)"
