# "revision" demands a commit and --require-clean a clean tree; neither minds the store beside the spec.
set -eu
git --version > /dev/null 2>&1 || { echo "git is not installed"; exit 77; }
g() { git -c user.name=a -c user.email=a@b "$@"; }
fail() { echo "$1"; cat ../log; exit 1; }
refused() { rc=0; "$RETORT" run "$@" > ../log 2>&1 || rc=$?; test $rc -eq 1 || fail "exit code $rc of run $*"; }
mkdir work
cd work
g init -q -b trunk .
spec() { printf '{"retort": 1, "name": "rev",%s "stages": {"start": {"do": "init", "task": "synth/agreement"}}}\n' "$1"; }
spec '' > spec.json
spec ' "revision": "paper",' > tagged.json
spec ' "revision": "0123456",' > elsewhere.json
g add .
g commit -qm one

"$RETORT" run spec.json --require-clean > ../log 2>&1 || fail "a clean tree is refused"
"$RETORT" run spec.json --require-clean > ../log 2>&1 || fail "the store counts as a change"
refused elsewhere.json
grep -q 'demands revision "0123456", which names no commit' ../log || fail "the demand is not told"
refused tagged.json
g tag paper
"$RETORT" run tagged.json > ../log 2>&1 || fail "the tagged commit is refused"
echo more > "more"
g add more
g commit -qm two
refused tagged.json
grep -q 'demands revision "paper" (commit [0-9a-f]*), but' ../log || fail "the other commit is not told"
echo changed > "more"
echo new > new
refused spec.json --require-clean
grep -q '1 changed and 1 untracked files (more, new)' ../log || fail "the changes are not told"
"$RETORT" run spec.json > ../log 2>&1 || fail "a dirty tree is refused without being asked to"
