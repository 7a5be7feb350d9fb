# What Retort tells of itself: help, list, schema, manual, doctor, version; and how it treats stdout.
set -u
fail() { echo "$1"; cat out err; exit 1; }
wants() { # CODE "text in stdout" "text in stderr" ARGS...
    code=$1 o=$2 e=$3
    shift 3
    "$RETORT" "$@" > out 2> err
    rc=$?
    test $rc -eq "$code" || fail "retort $*: exit code $rc, wanted $code"
    test -z "$o" || grep -q -e "$o" out || fail "retort $*: stdout lacks \"$o\""
    test -z "$e" || grep -q -e "$e" err || fail "retort $*: stderr lacks \"$e\""
}
wants 2 '' 'retort VERB'
wants 0 'retort VERB' '' --help
wants 0 'retort VERB' '' help
wants 0 '^retort [0-9]' '' --version
wants 3 '' 'did you mean "plan"' help plam
# Every verb has its help, each option stands in it and in the manual.
"$RETORT" manual > page || fail "manual"
verbs=$("$RETORT" help | awk '/^Environment/ {exit} /^  [a-z]/ && $1 != "retort" {print $1}')
test "$(echo "$verbs" | wc -l)" -ge 15 || fail "few verbs"
for v in $verbs; do
    wants 0 "^retort $v: " '' "$v" --help
    cp out one
    wants 0 '' '' help "$v"
    cmp one out || fail "help $v and $v --help differ"
    grep -q "^\\.SS $v\$" page || fail "$v is not in the manual"
    wants 2 '' "retort $v: unknown option --no-such" "$v" --no-such-option
    sed -n 's/.* --\([a-z-]*\).*/\1/p' one | sort -u | while read -r o; do
        grep -q -- "\\\\-\\\\-$(echo "$o" | sed 's/-/\\\\-/g')" page || echo "$v --$o"; done > lacks
    test ! -s lacks || fail "not in the manual: $(cat lacks)"
done
if command -v mandoc > /dev/null; then mandoc -Tlint page > err 2>&1 || fail "mandoc finds fault"; fi
if command -v groff > /dev/null; then
    groff -ww -man -Tutf8 page > out 2> err
    test ! -s err || fail "groff warns"
fi
wants 0 '^prune/heads ' '' list methods
wants 0 '^  ratio ' '' list prune/heads
wants 0 '^Paper: Michel' '' list methods prune/heads
wants 0 '^submission  *MRPC.tsv' '' list glue/mrpc
wants 0 'Larger is better' '' list accuracy
wants 3 '' 'did you mean "finetune"' list finetun
wants 2 '' 'KIND is missing' list
wants 0 '"code_default"\|"default": 5e-5' '' list methods --json
wants 0 '"https://json-schema.org/draft/2020-12/schema"' '' schema
wants 0 '^ok  *store' '' doctor
wants 0 '"state": "ok"' '' doctor --json
wants 1 '^missing  *store' '' doctor --store /proc/none
# Nobody reads: no crash, no complaint. No room: said, exit code 4.
"$RETORT" manual 2> err | head -n 1 > out
test ! -s err || fail "a closed pipe is complained of"
if [ -e /dev/full ]; then
    "$RETORT" list methods > /dev/full 2> err
    test $? -eq 4 && grep -q 'standard output: No space' err || fail "a full disk is not told"
fi
"$RETORT" list methods >&- 2> err
test $? -eq 4 && grep -q 'standard output' err || fail "a closed stdout is not told"
# Numbers have points in every locale that is here.
for l in de_DE.UTF-8 tr_TR.UTF-8 C; do
    LC_ALL=$l "$RETORT" list finetune | grep -q 'warmup  *0\.1 ' || fail "locale $l"
done
