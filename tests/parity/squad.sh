# SQuAD's scores and windows beside the references, on the whole dev sets: no digit and no window differs.
set -eu
if [ -z "${RETORT_SHARED-}" ]; then echo "real data is not here (RETORT_SHARED)"; exit 77; fi
if [ -z "${RETORT_PYTHON-}" ]; then echo "transformers is not here (RETORT_PYTHON)"; exit 77; fi
d=$RETORT_SHARED/data/squad here=$SOURCE/tests/parity
same() { # VERSION, FILES as the scripts take them
    version=$1
    shift
    "$RETORT_PYTHON" "$here/squad_official.py" "$version" "$@" > their
    if [ $# -gt 2 ]; then set -- "$1" "$2" --null-odds "$3" ${4:+--null-threshold "$4"}; fi
    "$RETORT" score "$@" > ours
    diff their ours
}
same v1.1 "$d/dev-v1.1.json" "$d/predictions-v1.1-bert-ensemble.json"
grep -q '"exact_match": 86\.2.*"f1": 92\.1955' ours # 86.2 and 92.2 on SQuAD's page
for v in 1.1 2.0; do
    "$RETORT_PYTHON" "$here/squad.py" answers "$d/dev-v$v.json" "v$v" 3
    same "v$v" "$d/dev-v$v.json" "v$v.said.json"
done
same v2.0 "$d/dev-v2.0.json" v2.0.said.json v2.0.odds.json
same v2.0 "$d/dev-v2.0.json" v2.0.said.json v2.0.odds.json -1.5
"$RETORT_PYTHON" "$here/make_squad.py" made 3000 11
same v1.1 made/v1.1.data.json made/v1.1.said.json
same v2.0 made/v2.0.data.json made/v2.0.said.json made/v2.0.odds.json
RETORT_SQUAD_WINDOWS=windows "$(dirname "$RETORT")/tests/parity/test_squad" > log 2>&1 || { cat log; exit 1; }
HF_HUB_OFFLINE=1 "$RETORT_PYTHON" "$here/squad.py" windows "$d" "$RETORT_SHARED/models/minilm-l6-h384" windows
