# Results that h5py wrote, and that pandas wrote, become runs with the very numbers.
set -eu
if [ -z "${RETORT_PYTHON-}" ]; then echo "h5py is not here (RETORT_PYTHON)"; exit 77; fi
"$RETORT_PYTHON" - <<'END'
import h5py, numpy as np, pandas as pd
accuracy = np.random.default_rng(1).random(5)
with h5py.File("a.h5", "w") as f:
    f["seed"] = np.arange(1, 6, dtype=np.int32)
    f["accuracy"] = accuracy
    f["arm"] = ["a", "b", "c", "d", "é"]
    f["fixed"] = np.array([b"x", b"yy", b"zzz", b"", b"w"])
    f["on"] = np.array([True, False, True, True, False])
    f["width"] = 384
    f["matrix"] = np.zeros((5, 2))
    f.create_group("group")["seed"] = 1
with h5py.File("uneven.h5", "w") as f:
    f["seed"], f["accuracy"] = [1, 2], [0.5, 0.5, 0.5]
pd.DataFrame({"seed": range(1, 6), "accuracy": accuracy}).to_csv("a.csv", index=False)
END
bring() { "$RETORT" import "$@" --task synth/match --split dev -m accuracy=accuracy > log 2>&1; }
bring a.h5 -n h5 --variable arm=arm --variable width=width --variable f=fixed --variable on=on || { cat log; exit 1; }
bring a.csv -n csv || { cat log; exit 1; }
"$RETORT" export --csv h5 > h5.csv
"$RETORT" export --csv csv > csv.csv
"$RETORT_PYTHON" - <<'END'
import h5py, pandas as pd
want = h5py.File("a.h5")["accuracy"][:]
for name in ("h5", "csv"):
    got = pd.read_csv(f"{name}.csv", float_precision="round_trip").sort_values("seed")
    assert (got.value.to_numpy() == want).all(), (name, got, want)
got = pd.read_csv("h5.csv", keep_default_na=False).sort_values("seed")
assert list(got["arm"]) == ["a", "b", "c", "d", "é"], got
assert list(got["f"]) == ["x", "yy", "zzz", "null", "w"] or list(got["f"]) == ["x", "yy", "zzz", "", "w"], got
assert set(got["width"].astype(str)) == {"384"}, got
END
if bring uneven.h5 -n u; then echo "uneven columns are taken"; exit 1; fi
grep -q 'seed has 2 values, others have 3' log || { cat log; exit 1; }
# Damage anywhere ends with a message, never with the program.
i=0
size=$(wc -c < a.h5)
while [ $i -lt 60 ]; do
    cp a.h5 d.h5
    printf '\377\376\375\374' | dd of=d.h5 bs=1 seek=$((i * size / 60)) conv=notrunc 2> /dev/null
    rc=0
    bring d.h5 -n damaged || rc=$?
    case $rc in 0 | 2 | 4) ;; *) echo "byte $((i * size / 60)): exit code $rc"; cat log; exit 1 ;; esac
    i=$((i + 1))
done
