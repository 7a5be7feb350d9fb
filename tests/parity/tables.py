"""Recomputes the tables of tables.sh with SciPy and statsmodels from the runs' files. Run by tables.sh, in its folder."""

import glob
import hashlib
import json
import sys

import h5py
import numpy as np
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

ALPHA, RESAMPLES = 0.05, 600
EVALS = {"match": ("eval/synth/match/dev", "accuracy", 1), "part": ("eval/synth/match/train[0:200]", "loss", -1), "agree": ("eval/synth/agreement/dev", "accuracy", 1)}
checked = {"numbers": 0, "marks": 0}
runs = {}
for path in glob.glob("runs/??/*/run.h5"):
    f = h5py.File(path)
    runs[f.attrs["run_id"].decode()] = f


def close(ours, theirs, what):
    checked["numbers"] += 1
    if (ours is None or np.isnan(ours)) and np.isnan(theirs):
        return
    if ours is None or not abs(ours - theirs) <= 1e-10 * max(1, abs(theirs)):
        sys.exit(f"{what}: {ours!r} instead of {theirs!r}")


def equal(ours, theirs, what):
    checked["marks"] += 1
    if ours != theirs:
        sys.exit(f"{what}: {ours!r} instead of {theirs!r}")


def stream(purpose):
    digest = hashlib.sha256((0).to_bytes(8, "little") + purpose.encode()).digest()
    bits = np.random.PCG64()
    state = bits.state
    state["state"] = {"state": int.from_bytes(digest[:16], "big"), "inc": int.from_bytes(digest[16:], "big") | 1}
    bits.state = state
    return bits


def below(bits, n, count):
    out = []
    for x in bits.random_raw(count):
        product = int(x) * n
        assert product % 2**64 >= (-n % 2**64) % n  # nothing is rejected here
        out.append(product >> 64)
    return np.array(out)


picks, values, arrays = {}, {}, {}


def metric(run, column, pick=None):
    place, name, _ = EVALS[column]
    if run not in arrays:
        arrays[run] = [runs[run][place][k][:] for k in ("label", "pred", "score")]
    label, pred, score = arrays[run]
    pick = np.arange(len(label)) if pick is None else pick
    label, pred, score = label[pick], pred[pick], score[pick]
    return {"accuracy": lambda: np.mean(label == pred), "loss": lambda: np.mean(score)}[name]()


def resampled(run, column):
    if run not in values:
        n = len(runs[run][EVALS[column][0]]["label"])
        if n not in picks:
            picks[n] = below(stream("bootstrap"), n, n * RESAMPLES).reshape(RESAMPLES, n)
        values[run] = np.array([metric(run, column, p) for p in picks[n]])
    return values[run]


def expected(over, a, b, column):
    """difference, low, high, p of cell a less cell b, and whether they have no deviation"""
    if over == "seeds":
        r = stats.ttest_rel(a["values"], b["values"])
        ci = r.confidence_interval(0.95)
        d = np.subtract(a["values"], b["values"])
        return np.mean(d), ci.low, ci.high, r.pvalue, np.std(d) == 0 and d[0] != 0
    d = np.array([resampled(x, column) - resampled(y, column) for x, y in zip(a["runs"], b["runs"])])
    if over == "both":
        drawn = below(stream("bootstrap/seeds"), len(d), len(d) * RESAMPLES).reshape(RESAMPLES, len(d))
        d = np.array([np.mean(d[s, r]) for r, s in enumerate(drawn)])
    else:
        d = np.mean(d, axis=0)
    low, high = np.percentile(d, [2.5, 97.5])
    p = min(1, 2 * (min(np.sum(d <= 0), np.sum(d >= 0)) + 1) / (RESAMPLES + 1))
    if len(a["runs"]) == 1 and EVALS[column][1] == "accuracy":
        x, y = (runs[c["runs"][0]][EVALS[column][0]] for c in (a, b))
        x, y = x["pred"][:] == x["label"][:], y["pred"][:] == y["label"][:]
        p = mcnemar([[0, np.sum(x & ~y)], [np.sum(~x & y), 0]], exact=True).pvalue
    mean = np.mean([metric(x, column) - metric(y, column) for x, y in zip(a["runs"], b["runs"])])
    return 100 * mean, 100 * low, 100 * high, p, False


def check(over, rule):
    cells = {(c["row"], c["column"]): c for c in json.load(open(f"{over}.out"))["cells"]}
    assert len(cells) == 12
    versus, behind = {}, {}
    for (row, column), c in cells.items():
        x = np.array(c["values"])
        close(c["mean"], np.mean(x), "mean")
        close(c["median"], np.median(x), "median")
        if len(x) > 1:
            close(c["std"], np.std(x, ddof=1), "std")
            close(c["mean"] + c["interval95"], stats.t.interval(0.95, len(x) - 1, np.mean(x), stats.sem(x))[1], "interval")
        for run, value in zip(c["runs"], c["values"]):
            close(value, 100 * metric(run, column), "value")
        if row != "none":
            versus[row, column] = expected(rule, c, cells["none", column], column)
    for column, (_, _, sign) in EVALS.items():
        best = max((r for r, k in cells if k == column), key=lambda r: sign * cells[r, column]["mean"])
        for row, k in cells:
            if k == column and row != best:
                behind[row, column] = expected(rule, cells[row, column], cells[best, column], column) + (sign,)
    for name, tests in (("versus", versus), ("behind", behind)):
        p = np.array([t[3] for t in tests.values()])
        holm = np.full(len(p), np.nan)
        holm[~np.isnan(p)] = multipletests(p[~np.isnan(p)], ALPHA, "holm")[1]
        for (key, t), h in zip(tests.items(), holm):
            ours = cells[key][name]
            for k, field in enumerate(("difference", "low95", "high95", "p")):
                close(ours[field], t[k], f"{over} {name} {key} {field}")
            close(ours["p_holm"], h, f"{over} {name} {key} p_holm")
            tests[key] = t + (h < ALPHA and not t[4],)
    for key, t in versus.items():
        equal(cells[key]["mark"], int(np.sign(t[0])) if t[5] else 0, f"{over} mark of {key}")
    for column, (_, _, sign) in EVALS.items():
        rows = [r for r, k in cells if k == column]
        apart = {r: behind[r, column][6] and sign * behind[r, column][0] < 0 for r in rows if (r, column) in behind}
        for row in rows:
            want = ("alone" if all(apart.values()) else "tied") if row not in apart else ("no" if apart[row] else "tied")
            equal(cells[row, column]["best"], want, f"{over} best of {row}, {column}")
    bold = sum(c["best"] == "alone" for c in cells.values())
    assert open(f"{over}.md").read().split("\n\nmean")[0].split("\n\none run")[0].count("**") == 2 * bold
    return bold, sum(abs(c["mark"]) for c in cells.values())


for over, rule in (("seeds", "seeds"), ("examples", "examples"), ("both", "both"), ("one", "examples")):
    bold, marks = check(over, rule)
    print(f"{over}: {bold} of 3 columns have a bold cell, {marks} of 9 cells are told apart from the baseline")
print(f"{checked['numbers']} numbers within 1e-10, {checked['marks']} marks equal")
