# Data that is wrong: file, line and field are told, and what would be right.
. "$SOURCE/tests/cli/bad.inc"
task='"labels": ["bad", "good"], "files": {"dev": "t.tsv"}, "columns": {"a": "text", "label": "mood"}'
printf '{"retort": 1, "stages": {"a": {"do": "init", "task": "synth/agreement", "layers": 1, "width": 8, "heads": 2, "ffn": 16}}}' > s.json
"$RETORT" run -q s.json > log 2>&1 || { cat log; exit 1; }
"$RETORT" export "$("$RETORT" ls | awk 'NR == 2 { print $1 }')" --hf m > log 2>&1 || { cat log; exit 1; }

spec() { # DECLARATION [OPTIONS]
    printf '{"retort": 1, "tasks": {"my/t": {%s}},\n "stages": {"e": {"do": "evaluate", "model": "m", "task": "my/t"%s}}}\n' \
        "$1" "${2-}" > x.json
}
go() { tell "$1" run x.json; }
data() { # TITLE, t.tsv by printf's format
    # shellcheck disable=SC2059 # the format is the data
    printf "$2" > t.tsv
    go "$1"
}
decl() { # TITLE DECLARATION
    spec "$2"
    go "$1"
}

spec "$task"
data "good" 'text\tmood\nfine\tgood\nsad\tbad\n'
data "CRLF, byte order mark, no newline at the end" '\357\273\277text\tmood\r\nfine\tgood\r\nsad\tbad'
data "a field too few" 'text\tmood\nfine\tgood\nsad\n'
data "a field too many" 'text\tmood\nfine\tgood\nsad\tbad\tx\n'
data "an empty line" 'text\tmood\nfine\tgood\n\nsad\tbad\n'
data "an unknown label" 'text\tmood\nfine\tgood\nsad\tugly\n'
data "a label out of range" 'text\tmood\nfine\t0\nsad\t2\n'
data "no such column" 'words\tmood\nfine\tgood\n'
data "a column twice" 'text\tmood\ttext\nfine\tgood\tx\n'
data "a header alone" 'text\tmood\n'
data "nothing" ''
data "not UTF-8" 'text\tmood\nfine\tgood\nsad\377\tbad\n'
data "a zero byte" 'text\tmood\nfine\tgood\nsad\tba\000d\n'
data "answers that are not told" 'text\tmood\nfine\t-1\nsad\t-1\n'
{ printf 'text\tmood\n'; awk 'BEGIN { for (i = 0; i < 300; i++) printf "a\t"; print "b" }'; } > t.tsv; go "300 fields"
awk 'BEGIN { for (i = 0; i < 300; i++) printf "a\t"; print "b" }' > t.tsv; go "300 columns"
{ printf 'text\tmood\n'; head -c 100000000 /dev/zero | tr '\0' a; printf '\tgood\nsad\tbad\n'; } > t.tsv; go "a line of 100 MB"
rm t.tsv; go "no file"
mkdir t.tsv; go "a folder"; rmdir t.tsv
printf 'text\tmood\nfine\tgood\nsad\tbad\n' > t.tsv

spec "$task" ', "split": "dev[0:1'; go "half a slice"
spec "$task" ', "split": "dev[1:1]"'; go "an empty slice"
spec "$task" ', "split": "dev[1:9]"'; go "a slice beyond the end is told"
spec "$task" ', "split": "dev[2:9]"'; go "a slice behind the end"
spec "$task" ', "split": "test"'; go "no such split"

decl "unknown keys" '"label": ["bad", "good"], "files": {"dev": "t.tsv"}, "columns": {"a": "text", "lable": "mood"}'
decl "no files, no columns" '"labels": ["bad", "good"]'
decl "one label" '"labels": ["bad"], "files": {"dev": "t.tsv"}, "columns": {"a": "text", "label": "mood"}'
decl "a label twice" '"labels": ["bad", "bad"], "files": {"dev": "t.tsv"}, "columns": {"a": "text", "label": "mood"}'
decl "an unknown metric" '"labels": ["bad", "good"], "files": {"dev": "t.tsv"}, "columns": {"a": "text", "label": "mood"}, "metrics": ["acuracy"]'
decl "a metric that does not suit" '"labels": ["bad", "good"], "files": {"dev": "t.tsv"}, "columns": {"a": "text", "label": "mood"}, "metrics": ["pearson"]'
decl "column 0" '"labels": ["bad", "good"], "files": {"dev": "t.tsv"}, "columns": {"a": 0, "label": 2}'
decl "column 3 of 2" '"labels": ["bad", "good"], "files": {"dev": "t.tsv"}, "columns": {"a": 3, "label": 2}'
decl "wrong types" '"kind": 3, "labels": "bad", "files": ["t.tsv"], "columns": 3, "max_len": "x", "header": 1, "format": "csv"'
decl "a number where classes are" '"kind": "regression", "files": {"dev": "t.tsv"}, "columns": {"a": "text", "label": "mood"}'

jsonl() { printf '%s\n' "$2" > t.jsonl; go "$1"; }
spec "$(echo "$task" | sed 's/t\.tsv/t.jsonl/')"
jsonl "JSONL" '{"text": "fine", "mood": "good"}
{"text": "sad", "mood": 0}'
jsonl "JSONL: a broken line" '{"text": "fine", "mood": "good"}
{"text": "sad", "mood": }'
jsonl "JSONL: no member" '{"text": "fine", "mood": "good"}
{"text": "sad"}'
jsonl "JSONL: a list" '["fine", "good"]'
jsonl "JSONL: an empty line" '{"text": "fine", "mood": "good"}

{"text": "sad", "mood": "bad"}'
jsonl "JSONL: an object as text" '{"text": {}, "mood": "good"}'
jsonl "JSONL: a member twice" '{"text": "fine", "text": "x", "mood": "good"}'

# Rows of QQP that were broken in two when it was made: left out, and counted.
mkdir QQP
printf 'id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n1\t2\t3\tHow\n4\t5\t6\tA?\tB?\t1\n5\n7\t8\t9\tC?\tD?\t0\n' > QQP/dev.tsv
printf '{"retort": 1, "stages": {"e": {"do": "evaluate", "model": "m", "task": "glue/qqp"}}}' > x.json
RETORT_DATA=$PWD; export RETORT_DATA
go "broken rows of QQP"
