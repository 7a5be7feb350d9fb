# What is no plug-in, or one that cannot be, is refused with a reason. One that works: docs/add-a-method.md.
fail() { echo "$*"; cat log; exit 1; }
${CC:-cc} --version > log 2>&1 || { echo "no C compiler"; exit 77; }
cat > mine.c <<'END'
#include <retort/method.h>
static const struct option options[] = {OPTION_END};
static const struct input inputs[] = {INPUT_END};
static int run(struct stage *st) { stage_metric(st, "one", 0, 1); return stage_done(st); }
static const struct method mine = {.name = NAME, .summary = "one", .version = VERSION, .options = options,
                                   .options_size = 1, .inputs = inputs, .outputs = KIND_STATS, .run = run};
#ifdef BARE
const struct method *bare = &mine;
#else
RETORT_PLUGIN(&mine)
#endif
END
build() { # FILE FLAGS
    so=$1
    shift
    ${CC:-cc} -std=c11 -I"$SOURCE/include" -shared -fPIC -o "$so" mine.c "$@" > log 2>&1 || fail "it does not compile"
}
refused() { # MESSAGE FILES
    want=$1
    shift
    "$RETORT" list methods "$@" > out 2> log
    test $? -eq "${code-2}" || fail "$*"
    grep -qF -- "$want" log || fail "$* lacks $want"
}
build good.so '-DNAME="mine/one"' -DVERSION=1
"$RETORT" list methods --plugin good.so > out 2> log || fail "list"
grep -q '^  *mine/one  *one$\|^mine/one  *one$' out || { cat out; fail "list lacks it"; }
RETORT_PLUGIN=$PWD/good.so:$PWD/good.so "$RETORT" list methods mine/one > out 2> log || fail "RETORT_PLUGIN"
echo '{"retort": 1, "name": "p", "seeds": [1], "stages": {"s": {"do": "mine/one"}}}' > spec.json
mkdir elsewhere
(cd elsewhere && "$RETORT" run -q ../spec.json --plugin ../good.so) 2> log || fail "run"
RETORT_PLUGIN=$PWD/good.so "$RETORT" plan spec.json --store elsewhere/runs 2> log | grep -q '1 cached' || fail "by another way it is another method"

build bare.so '-DNAME="mine/one"' -DVERSION=1 -DBARE
refused 'is no plug-in of Retort' --plugin bare.so
build taken.so '-DNAME="finetune"' -DVERSION=1
refused 'is named family/name' --plugin taken.so
build taken.so '-DNAME="prune/heads"' -DVERSION=1
refused 'there is a method prune/heads already' --plugin taken.so
build none.so '-DNAME="mine/none"' -DVERSION=0
refused 'lacks one of' --plugin none.so
build other.so '-DNAME="mine/one"' -DVERSION=2
refused 'there is a method mine/one already' --plugin good.so --plugin other.so
sed 's/RETORT_PLUGIN(&mine)/const struct retort_plugin retort_plugin = {RETORT_PLUGIN_ABI, 8, sizeof(struct stage), 0};/' mine.c > m && mv m mine.c
build old.so '-DNAME="mine/one"' -DVERSION=1
refused 'headers of another version' --plugin old.so
refused 'cannot be loaded' --plugin mine.c
code=3 refused 'No such file' --plugin nothing.so
