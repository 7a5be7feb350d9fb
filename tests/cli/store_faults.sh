# A store with trouble: a damaged run among good ones, no room, no right to write, no store at all. Each is named,
# the rest goes on, and nothing is lost.
set -eu
fail() { echo "$1"; cat log; exit 1; }
cat > spec.json <<'END'
{"retort": 1, "name": "faults",
 "stages": {
  "start": {"do": "init", "task": "synth/agreement"},
  "heads": {"do": "prune/heads", "model": {"from": "start"}, "order": "random"},
  "result": {"do": "evaluate", "model": {"from": "heads"}, "task": "synth/agreement"}},
 "sweep": {"grid": {"heads.ratio": [0, 0.5]}}}
END
cat > table.json <<'END'
{"table": 1, "title": "Faults", "spec": "spec.json", "stage": "result", "metric": "eval/synth/agreement/dev/accuracy",
 "rows": [{"name": "all", "where": {}}], "columns": {"variable": "heads.ratio", "name": "ratio"}}
END
"$RETORT" run spec.json > log 2>&1 || fail "the run fails"
run_of() { "$RETORT" ls --store "${2-runs}" | awk -v s="$1" '$4 == s {print $1; exit}'; }
file_of() { echo "${2-runs}/$(echo "$1" | cut -c1-2)/$1"*/run.h5; }
id=$(run_of result)
f=$(file_of "$id")

# A bit in the middle of one run.
chmod u+w $f
byte=$(od -An -tu1 -j5000 -N1 $f | tr -d ' ')
printf "\\$(printf %03o $((byte ^ 16)))" | dd of=$f bs=1 seek=5000 conv=notrunc 2> /dev/null
"$RETORT" ls > log 2>&1 || fail "ls fails for one damaged run"
grep -q "^$id *damaged" log || fail "ls does not name the damaged run"
[ "$(grep -c sealed log)" -eq 4 ] || fail "ls does not show the good ones"
"$RETORT" show "$id" > log 2>&1 && fail "a damaged run is shown"
grep -q "run.h5: is damaged: its checksum is wrong" log || fail "show does not say what is wrong"
"$RETORT" table table.json > log 2>&1 && fail "a table with a damaged run passes as whole"
grep -q "| all | \(missing | 0\|0.*missing\)" log || fail "the table does not show the good cell and mark the other"
grep -q "^retort: .*$id.*is damaged" log || fail "the table does not name the damaged run"
"$RETORT" plan spec.json > log 2>&1
grep -q "$id.*rerun.*damaged" log || fail "the plan does not make it again"
"$RETORT" run spec.json > log 2>&1 || fail "running over a damaged run fails"
grep -q "1 done, 0 failed, 4 cached" log || fail "not just the damaged run is made again"
"$RETORT" show "$id" > log 2>&1 || fail "the run made again cannot be shown"

# A disk that is full: no file may grow past some size.
for kb in 1 8 40 200; do
    rm -rf full
    rc=0
    (ulimit -f $kb; trap '' XFSZ; "$RETORT" run spec.json --store full > log 2>&1) || rc=$?
    test $rc -eq 4 || fail "a full disk gives exit code $rc, not 4"
    grep -q "full/.*: File too large" log || grep -q "full/.*is the disk full" log || fail "a full disk is not told with its path"
    "$RETORT" ls --store full > log 2>&1 || fail "ls fails after a full disk"
    grep -q damaged log && fail "a full disk leaves a damaged run"
    "$RETORT" run spec.json --store full > log 2>&1 || fail "run again after a full disk fails"
done
"$RETORT" ls --store full | awk '$2 == "sealed" {print $1}' | sort > one
"$RETORT" ls | awk '$2 == "sealed" {print $1}' | sort > two
cmp one two || fail "after a full disk the runs are others"

# No store: a file, a ring of links, nothing.
echo text > file
ln -s ring ring
for s in file ring none; do
    for verb in ls "show abcd"; do
        "$RETORT" $verb --store $s > log 2>&1 && fail "$verb of $s passes"
        grep -q "^retort: $s: " log || fail "$verb does not name $s"
    done
done
"$RETORT" run spec.json --store file > log 2>&1 && fail "a file is taken for a store"
grep -q "^retort: file: is .*folder" log || fail "it is not said that file is no folder"
[ "$(cat file)" = text ] || fail "the file was changed"

# No right to write: read all the same. (Root may do everything: as somebody else.)
chmod -R a-w runs
"$RETORT" ls > log 2>&1 || fail "a store that is read-only cannot be listed"
"$RETORT" run spec.json > log 2>&1 || fail "finished runs of a read-only store do not serve"
grep -q "0 done, 0 failed, 5 cached" log || fail "finished runs of a read-only store do not serve"
chmod -R u+w runs

# One folder that may not be looked into, as somebody who is not root.
if [ "$(id -u)" -eq 0 ] && command -v setpriv > /dev/null; then
    closed=$(dirname "$(file_of "$(run_of start)")")
    chmod 000 $closed
    chmod a+rx . runs
    nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@" > log 2>&1; }
    if nobody "$RETORT" --version && nobody ls .; then
        nobody "$RETORT" ls || fail "ls fails for one closed folder"
        grep -q "damaged.*Permission denied" log || fail "ls does not name the closed folder"
        [ "$(grep -c sealed log)" -eq 4 ] || fail "ls does not show the open ones"
        nobody "$RETORT" plan spec.json || fail "plan fails for one closed folder"
        chmod 000 runs
        rc=0
        nobody "$RETORT" plan spec.json || rc=$?
        chmod 755 runs
        [ $rc -eq 4 ] || fail "a closed store gives exit code $rc, not 4"
    fi
    chmod 755 $closed
fi

# A newer program's run.
f=$(file_of "$(run_of start)")
if command -v python3 > /dev/null && [ -n "${RETORT_PYTHON-}" ]; then
    chmod u+w $f
    "$RETORT_PYTHON" - $f <<'END'
import sys, struct
sys.stdout.flush()
import h5py
path = sys.argv[1]
raw = open(path, "rb").read()
open(path, "wb").write(raw[:-32])
with h5py.File(path, "r+", track_order=True) as f:
    f.attrs.modify("format_version", 2)
def crc32c(data):
    table = []
    for b in range(256):
        for _ in range(8):
            b = (b >> 1) ^ (0x82F63B78 if b & 1 else 0)
        table.append(b)
    r = 0xFFFFFFFF
    for b in data:
        r = (r >> 8) ^ table[(r ^ b) & 255]
    return r ^ 0xFFFFFFFF
raw = open(path, "rb").read()
open(path, "ab").write(b"retort seal 1\n\n\n" + struct.pack("<qI4x", len(raw), crc32c(raw)))
END
    "$RETORT" ls > log 2>&1 || fail "ls fails for a newer run"
    "$RETORT" show "$(basename "$(dirname $f)")" > log 2>&1 && fail "a newer format is read"
    grep -q "format version 2, this program reads 1; a newer one made it" log || fail "a newer format is not told"
    sum=$(cksum < $f)
    "$RETORT" run spec.json > log 2>&1 && fail "a newer run passes as done"
    grep -q "a newer Retort made this run, so it is left as it is" log || fail "it is not told that a newer run is left alone"
    [ "$(cksum < $f)" = "$sum" ] || fail "a newer run was replaced"
fi
