# Data by name, as a user asks for it: what is known, what is not, and where no server is.
fail() { echo "$*"; cat log; exit 1; }
unset http_proxy https_proxy RETORT_MIRROR
RETORT_DATA=$PWD/data
export RETORT_DATA
"$RETORT" data ls > out 2> log || fail "ls"
for task in cola sst2 mrpc qqp stsb mnli qnli rte wnli ax; do grep -q "^glue/$task  *-  " out || fail "ls lacks $task: $(cat out)"; done
grep -q '^squad/v2 ' out || fail "ls lacks squad"
test ! -e data || fail "ls made a folder"
"$RETORT" data get glue/sst-2 2> log
test $? -eq 2 || fail "a name that nobody knows"
grep -q 'did you mean glue/sst2?' log || fail "no suggestion"
"$RETORT" data get 2> log
test $? -eq 2 || fail "get without a name"
"$RETORT" data fetch x 2> log
test $? -eq 2 || fail "an unknown word"
# Nobody listens at this port.
RETORT_MIRROR=http://127.0.0.1:9 HF_HUB_DOWNLOAD_TIMEOUT=1 "$RETORT" data get glue/wnli 2> log
test $? -eq 4 || fail "without a server"
grep -q 'glue/wnli: http://127.0.0.1:9/dl.fbaipublicfiles.com/glue/data/WNLI.zip: ' log || fail "without a server"
test ! -e data/glue || fail "something was left"
mkdir -p data/glue/WNLI
"$RETORT" data get glue/wnli 2> log
test $? -ne 0 || fail "an empty folder counts as data"
