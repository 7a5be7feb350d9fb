# Sixty-four processes at once on one store: sweeps, lists, tables, verify, fsck, gc, labels. All end, nothing is lost, no
# lock is left. Then a writer that was stopped, taken for dead and woken again: it harms nothing.
set -eu
cat > spec.json <<'END2'
{"retort": 1, "name": "crowd", "seeds": [1, 2],
 "stages": {
  "start": {"do": "init", "task": "synth/agreement"},
  "trained": {"do": "finetune", "model": {"from": "start"}, "task": "synth/agreement", "max_steps": 3, "batch": 4,
              "max_len": 32},
  "heads": {"do": "prune/heads", "model": {"from": "trained"}, "order": "random"},
  "result": {"do": "evaluate", "model": {"from": "heads"}, "task": "synth/agreement", "split": "dev[0:8]"}},
 "sweep": {"grid": {"heads.ratio": [0, 0.5]}}}
END2
cat > table.json <<'END2'
{"table": 1, "title": "Crowd", "spec": "spec.json", "stage": "result",
 "metric": "eval/synth/agreement/dev[0:8]/accuracy",
 "rows": [{"name": "all", "where": {}}], "columns": {"variable": "heads.ratio", "name": "ratio"}}
END2
fail() { echo "$1"; cat log ./*.err 2> /dev/null | tail -n 40; exit 1; }
results() { "$RETORT" ls --store "$1" --json | tr ',' '\n' | sed -n 's/.*"\(id\|digest\)": *"\([0-9a-f]*\)".*/\2/p' | sort; }
"$RETORT" run -q spec.json --store whole || fail "the undisturbed sweep fails"
results whole > one
[ "$(wc -l < one)" -ge 24 ] || fail "ids and digests of twelve runs were wanted"
mkdir runs
pids=
i=0
while [ $i -lt 64 ]; do
    case $((i % 8)) in
    0 | 1 | 2) verb="run -q --threads=1 --jobs=1 spec.json" may="0" ;;
    3) verb="ls" may="0" ;;
    4) verb="table table.json" may="0 1" ;;
    5) verb="fsck -q" may="0" ;;
    6) verb="gc --yes spec.json" may="0 5" ;;
    7) verb="verify -q" may="0" ;;
    esac
    # shellcheck disable=SC2086 # several words
    (rc=0; timeout 300 "$RETORT" $verb > $i.out 2> $i.err || rc=$?
        case " $may " in *" $rc "*) rm -f $i.err ;; *) echo "$verb: exit code $rc" >> $i.err; exit 1 ;; esac) &
    pids="$pids $!"
    i=$((i + 1))
done
bad=0
for p in $pids; do wait "$p" || bad=$((bad + 1)); done
# A sweep may have met the collector: it says so with exit code 5, and goes on when it is run again.
met=$(grep -l "retort gc is at work\|was removed just now" ./*.err 2> /dev/null | wc -l)
[ $bad -eq "$met" ] || fail "$bad of 64 processes failed, $met of them for the collector"
rm -f ./*.err
"$RETORT" run -q spec.json > log 2>&1 || fail "after the crowd the sweep does not complete"
results runs > two
cmp one two || fail "after the crowd the results are others"
"$RETORT" verify > log 2>&1 || fail "after the crowd something is damaged"
grep -q "all is as it was written" log || fail "after the crowd something is left over"
[ -z "$(find runs -name 'lease*' -o -name 'journal.*')" ] || fail "a lock is left"

# Each sees the other as a process of another machine: in a pid namespace of its own.
unshare --pid --fork true 2> /dev/null || exit 0
cat > long.json <<'END2'
{"retort": 1, "name": "woken",
 "stages": {
  "start": {"do": "init", "task": "synth/agreement"},
  "trained": {"do": "finetune", "model": {"from": "start"}, "task": "synth/agreement", "max_steps": 300, "batch": 4,
              "max_len": 32}}}
END2
"$RETORT" run -q long.json --store whole || fail "the long sweep fails"
results whole > one
unshare --pid --fork --kill-child "$RETORT" run long.json --jobs=1 --checkpoint-seconds=0 > log 2>&1 &
n=0
until lease=$(find runs -path '*/lease' -newer one) && [ -n "$lease" ] && ls "$(dirname "$lease")"/ckpt/0* > /dev/null 2>&1; do
    n=$((n + 1)); [ $n -lt 1000 ] || fail "never: a checkpoint"; sleep 0.01
done
# The worker is the one process of ours that has the lease open.
worker=
for p in /proc/[0-9]*; do
    case $(ls -l "$p"/fd 2> /dev/null) in *"$(pwd)/$lease"*) worker=${p#/proc/} ;; esac
done
[ -n "$worker" ] || fail "nobody holds $lease"
kill -STOP "$worker"
touch -d '2 minutes ago' "$lease" # silent for long
"$RETORT" run -q long.json > log2 2>&1 || { cat log2; fail "nobody takes over from a writer that is silent"; }
kill -CONT "$worker"
wait || true
results runs > two
cmp one two || fail "the writer that was woken changed results"
"$RETORT" fsck > log 2>&1 || fail "the writer that was woken left damage"
"$RETORT" verify > log 2>&1 && grep -q "all is as it was written" log || fail "the writer that was woken left damage"
