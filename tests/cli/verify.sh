# verify tells what is damaged, with exit code 1; fsck mends it and removes what dead processes left; --resume kills a
# sweep at random moments and compares.
set -eu
fail() { echo "$1"; cat log; exit 1; }
cat > spec.json <<'END2'
{"retort": 1, "name": "verified", "seeds": [1],
 "stages": {
  "start": {"do": "init", "task": "synth/agreement"},
  "trained": {"do": "finetune", "model": {"from": "start"}, "task": "synth/agreement", "max_steps": 3, "batch": 4,
              "max_len": 32},
  "heads": {"do": "prune/heads", "model": {"from": "trained"}, "order": "random", "ratio": 0.5}}}
END2
"$RETORT" run -q spec.json
"$RETORT" verify > log 2>&1 || fail "a whole store is found damaged"
grep -q "^3 sealed runs, 0 unfinished, .*all is as it was written" log || fail "verify does not say what it read"
id=$("$RETORT" ls | awk '$4 == "trained" {print $1}')
f=$(echo runs/??/"$id"*/run.h5)
sum=$(cksum < "$f")
chmod u+w "$f"
byte=$(od -An -tu1 -j7000 -N1 "$f" | tr -d ' ')
# shellcheck disable=SC2059 # an octal escape is made
printf "\\$(printf %03o $((byte ^ 90)))" | dd of="$f" bs=1 seek=7000 conv=notrunc 2> /dev/null
"$RETORT" verify "$id" > log 2>&1 && fail "damage is not exit code 1"
grep -q "^damage .*run.h5: is damaged: its checksum is wrong" log || fail "damage is not told"
"$RETORT" verify > log 2>&1 && fail "damage is not exit code 1"
grep -q "tensors.*reference\|is a reference" log || fail "the run that refers to it is not told"
"$RETORT" fsck -n > log 2>&1 && fail "fsck -n does not find it"
: > "$(dirname "$f")/run.h5.new.7"
"$RETORT" fsck > log 2>&1 || { "$RETORT" fsck > log 2>&1 || fail "fsck does not mend"; }
[ "$(cksum < "$f")" = "$sum" ] || fail "the file is not what it was"
[ ! -w "$f" ] || [ "$(id -u)" -eq 0 ] || fail "the mended run can be written to"
"$RETORT" verify --json > log 2>&1 || fail "after fsck something is damaged"
grep -q '"findings": \[\]' log || fail "after fsck something is left"
rc=0
"$RETORT" verify nothing > log 2>&1 || rc=$?
[ $rc -eq 3 ] || fail "a run that is not there gives exit code $rc, not 3"
"$RETORT" verify --resume spec.json --times 1 > log 2>&1 || fail "a sweep that was killed differs"
grep -q "each time the results of the undisturbed sweep" log || fail "it does not say what it found"
