# What bash completes: verbs, options, choices, files, runs; the scripts of all shells are whole.
set -u
fail() { echo "$1"; cat out; exit 1; }
for shell in bash zsh fish; do
    "$RETORT" completion $shell > $shell.txt || fail "completion $shell"
    for v in $("$RETORT" help | awk '/^Environment/ {exit} /^  [a-z]/ && $1 != "retort" {print $1}'); do
        grep -q "$v" $shell.txt || fail "$shell does not know $v"
    done
    if command -v $shell > out 2>&1; then $shell -n $shell.txt > out 2>&1 || fail "$shell finds fault"; fi
done
command -v bash > /dev/null || { echo "bash is not here"; exit 77; }
echo '{"retort": 1, "name": "x", "seeds": [1], "stages": {"s": {"do": "init", "task": "synth/match"}}}' > spec.json
"$RETORT" run -q spec.json > out 2>&1 || fail "run"
mkdir bin
ln -s "$RETORT" bin/retort
cat > try.bash <<'EOF'
source ./bash.txt
compopt() { :; }
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_retort
echo "${COMPREPLY[*]}"
EOF
try() { # WANTED WORDS...
    want=$1
    shift
    PATH=$PWD/bin:$PATH bash try.bash "$@" > out 2>&1
    test "$(cat out)" = "$want" || fail "$* gives something else than $want"
}
try 'data diff doctor' retort d
try '--sort --store' retort ls --s
try 'md latex csv html json' retort table --format ''
try spec.json retort run s
try export retort help ex
try 'methods metrics' retort list me
try prune/magnitude retort list prune/m
id=$("$RETORT" ls --ids | cut -c 1-10)
try "$id" retort show "$(echo "$id" | cut -c 1-5)"
