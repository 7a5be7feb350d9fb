# A spec with an hf: model: our cache is read by huggingface_hub and transformers, theirs by us; offline needs neither.
set -eu
if [ -z "${RETORT_PYTHON-}" ]; then echo "huggingface_hub is not here (RETORT_PYTHON)"; exit 77; fi
unset http_proxy HTTP_PROXY HF_TOKEN HF_HOME HF_HUB_OFFLINE || true
cat > start.json <<'END'
{"retort": 1, "name": "start", "stages": {
  "start": {"do": "init", "task": "synth/match", "layers": 1, "width": 32, "heads": 2, "ffn": 64}}}
END
cat > spec.json <<'END'
{"retort": 1, "name": "hub", "stages": {
  "trained": {"do": "finetune", "model": "hf:org/tiny", "task": "synth/match", "max_steps": 2},
  "result": {"do": "evaluate", "model": {"from": "trained"}, "task": "synth/match", "split": "dev[0:50]"}}}
END
run() { "$RETORT" run "$@" > log 2>&1 || { cat log; exit 1; }; }
run start.json
"$RETORT" export --hf "$("$RETORT" ls | awk '$4 == "start" {print $1}')" model
"$RETORT_PYTHON" "$SOURCE/tests/http/hub.py" model org/tiny port > asked 2>&1 &
server=$!
trap 'kill $server 2> /dev/null || true' EXIT
for _ in $(seq 100); do [ -f port ] && break; sleep 0.1; done
HF_ENDPOINT=http://127.0.0.1:$(cat port)
HF_HUB_CACHE=$PWD/ours
HF_TOKEN=hf_aTokenThatIsSecret
export HF_ENDPOINT HF_HUB_CACHE HF_TOKEN

# The plan says what is missing and how much, and fetches no weights.
rc=0; "$RETORT" plan spec.json > out 2> err || rc=$?
test $rc = 3
grep -q 'hf:org/tiny is not in the cache .*; retort run will download 4 files, 0.[0-9] MB (commit 89abcdef01)' err || { cat err; exit 1; }
if grep -q 'GET /cdn' asked; then exit 1; fi

run spec.json --store a
n=$(wc -l < asked)
HF_HUB_OFFLINE=1 "$RETORT" run spec.json --store a > log 2>&1 || { cat log; exit 1; }
grep -q '2 cached' log || { cat log; exit 1; }
test "$n" = "$(wc -l < asked)"
if grep -rq "$HF_TOKEN" a ours log; then echo "the token was written down"; exit 1; fi

# huggingface_hub and transformers find all of it without the network.
HF_HUB_OFFLINE=1 "$RETORT_PYTHON" - > log 2>&1 <<'END' || { cat log; exit 1; }
from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download
from transformers import AutoModel, AutoTokenizer
folder = snapshot_download("org/tiny", local_files_only=True)
for name in ("config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json"):
    path = hf_hub_download("org/tiny", name)
    assert path.startswith(folder), (path, folder)
    assert open(path, "rb").read() == open(f"model/{name}", "rb").read()
info = scan_cache_dir()
assert len(info.repos) == 1 and not info.warnings, info
AutoModel.from_pretrained("org/tiny")
AutoTokenizer.from_pretrained("org/tiny")
END

# What huggingface_hub fetches, we take as it is: the same jobs.
HF_HUB_CACHE=$PWD/theirs
"$RETORT_PYTHON" - > log 2>&1 <<'END' || { cat log; exit 1; }
from huggingface_hub import hf_hub_download
for name in ("config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json"):
    hf_hub_download("org/tiny", name)
END
n=$(wc -l < asked)
kill $server
HF_HUB_OFFLINE=1 "$RETORT" run spec.json --store a > log 2>&1 || { cat log; exit 1; }
grep -q '2 cached' log || { cat log; exit 1; }
run spec.json --store b
test "$n" = "$(wc -l < asked)"

# Neither cache nor network: said, at the place that names the model.
rc=0; HF_HUB_CACHE=$PWD/none "$RETORT" run spec.json --store c > out 2> err || rc=$?
test $rc = 4
grep -q 'spec.json:2:.*hf:org/tiny is not in the cache .*, and cannot be fetched; where there is no network, name a folder' err || { cat err; exit 1; }
if grep -q "$HF_TOKEN" err; then exit 1; fi
rc=0; HF_HUB_OFFLINE=1 HF_HUB_CACHE=$PWD/none "$RETORT" run spec.json --store c > out 2> err || rc=$?
test $rc = 3
grep -q 'HF_HUB_OFFLINE forbids fetching it' err || { cat err; exit 1; }
