# The worked example of docs/store.md does what it says.
set -eu
[ -n "${RETORT_PYTHON-}" ] || { echo "no Python with h5py (RETORT_PYTHON)"; exit 77; }
doc=$SOURCE/docs/store.md
sed -n '/^    {"retort": 1/,/^    \$ retort run/{/^    \$/d;s/^    //;p}' "$doc" > spec.json
sed -n '/^<!-- test: python -->/,/^## /{/^    /{s/^    //;p};/^$/p}' "$doc" > example.py
[ "$(wc -l < example.py)" -gt 20 ] || { echo "the example is not found"; exit 1; }
"$RETORT" run spec.json > log 2>&1 || { cat log; exit 1; }
"$RETORT_PYTHON" example.py > out || { cat out; exit 1; }
grep -q '^40 .*head.*query.*key' out || { cat out; exit 1; }
grep -q 'wrong, the first' out
