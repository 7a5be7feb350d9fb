# The notebook that `retort export --notebook` writes, in the percent format: a line "# %%" begins a cell and
# gives its kind, its id (which stays), its tags, and after "if" what the export must hold for it to be there.
# Markdown is a comment. @TITLE@ and @ABOUT@ are filled in. What stands above the first cell is left out.

# %% [markdown] title
# # @TITLE@
#
# @ABOUT@

# %% imports
import json
from pathlib import Path

import h5py
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

# Colours that are told apart with any kind of colour vision (Okabe and Ito 2008). Names are shown as they
# are: a dollar sign begins no formula.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
MARKERS = "os^Dv<>"
plt.rcParams.update({"figure.figsize": (8, 5), "figure.dpi": 110, "axes.grid": True, "grid.alpha": 0.4,
                     "axes.spines.top": False, "axes.spines.right": False, "text.parse_math": False,
                     "axes.prop_cycle": plt.cycler(color=COLOURS)})

# %% parameters tags=parameters
FOLDER = "."      # where runs.h5 and the CSV files lie
SEEDS = None      # a list of seeds, or None: all
METRIC = None     # for the overview of a sweep: the name of a metric, or None: the first of an evaluation
SMOOTH = 5        # values that a point of a training curve is the mean of
MOST = 6          # curves or maps in one figure

# %% [markdown] runs-text
# ## The runs
#
# `runs.h5` holds what every run says, each at `/runs/<id>`; `points.csv` says which run serves which point of
# the sweep, and `metrics.csv` has all metrics, a line for each value.

# %% runs
folder = Path(FOLDER)
h5 = h5py.File(folder / "runs.h5", "r")
points = pd.read_csv(folder / "points.csv", dtype={"label": str, "stage": str, "run": str}, keep_default_na=False,
                     na_values={"seed": [""]})
metrics = pd.read_csv(folder / "metrics.csv", dtype={"run": str, "metric": str}, keep_default_na=False,
                      na_values={"value": ["nan"]})
if SEEDS is not None:
    points = points[points.seed.isin(SEEDS) | points.seed.isna()]


def text(value):
    """Attributes of HDF5 are bytes in h5py."""
    return value.decode() if isinstance(value, bytes) else str(value)


def resolved(run):
    """All that a run's id stands for: method, options after defaults, inputs, seed."""
    return json.loads(h5["runs"][run]["resolved"].asstr()[()])


def series(run, metric):
    """Steps and values of a metric."""
    group = h5["runs"][run]
    found = group["metrics"][metric] if metric in group.get("metrics", {}) else group["env"]["metrics"][metric]
    return found["step"][:], found["value"][:]


def varied(run):
    """What tells the run from its siblings, but for the seed."""
    variables = text(h5["runs"][run].attrs["variables"]).split(" ")
    return " ".join(v for v in variables if not v.startswith("seed="))


runs = points.drop_duplicates("run")
assert set(runs.run) <= set(h5["runs"]), "points.csv and runs.h5 are of two exports"
runs.groupby(["stage", "method"], sort=False).size().rename("runs").reset_index()

# %% options
# The options of one run of each stage.
options = {stage: resolved(group.run.iloc[0]).get("options", {}) for stage, group in runs.groupby("stage", sort=False)}
pd.DataFrame({stage: pd.Series(given, dtype=object) for stage, given in options.items()}, dtype=object).fillna("")

# %% [markdown] table-text if=table
# ## The table
#
# Mean ± standard deviation (n - 1) over the runs of a cell; the values are those of `table.csv`, and are looked
# up again in the runs.

# %% table if=table
table = json.loads((folder / "table.json").read_text(encoding="utf-8"))
cells = pd.read_csv(folder / "table.csv", dtype={"row": str, "column": str, "run": str}, keep_default_na=False,
                    na_values={"value": [""]})
if SEEDS is not None:
    cells = cells[cells.seed.isin(SEEDS)]
for cell in table["cells"]:
    for run, value in zip(cell["runs"], cell["values"]):
        if not cell["metric"].startswith("/"):
            assert np.isclose(series(run, cell["metric"])[1][-1] * cell["scale"], value, rtol=1e-12), (run, cell["metric"])

row_names = [row["name"] for row in table["rows"]]
column_names = [column["name"] for column in table["columns"]]
statistics = cells.drop_duplicates(["row", "column", "run"]).groupby(["row", "column"]).value.agg(["mean", "std", "count"])


def grid(name):
    return statistics[name].unstack("column").reindex(index=row_names, columns=column_names)


mean, std, count = grid("mean"), grid("std"), grid("count")
digits = table["digits"]
shown = mean.map(lambda x: "" if np.isnan(x) else f"{x:.{digits}f}")
shown += std.map(lambda x: "" if np.isnan(x) else f" ± {x:.{digits}f}")
shown

# %% [markdown] figure-text if=table
# ## The figure

# %% figure-lines if=lines
figure, axes = plt.subplots()
numbers = [column["x"] for column in table["columns"]]
named = any(x is None for x in numbers)
x = np.arange(len(numbers)) if named else np.array(numbers, dtype=float)
for i, row in enumerate(row_names):
    y, spread = mean.loc[row].to_numpy(float), std.loc[row].fillna(0).to_numpy(float)
    style = dict(color=COLOURS[i % 7], marker=MARKERS[i % 7], label=row)
    if named:
        axes.errorbar(x + 0.06 * (i - (len(row_names) - 1) / 2), y, spread, linestyle="", capsize=3, **style)
    else:
        axes.plot(x, y, **style)
        low, high = table["plot"]["low"], table["plot"]["high"]   # what no value of the metric can pass
        axes.fill_between(x, np.clip(y - spread, low, high), np.clip(y + spread, low, high),
                          color=COLOURS[i % 7], alpha=0.18, linewidth=0)
if named:
    axes.set_xticks(x, column_names)
axes.set(title=table["plot"]["title"], xlabel=table["plot"]["x"], ylabel=table["plot"]["y"])
axes.legend(frameon=False)
figure.tight_layout()

# %% figure-map if=map
figure, axes = plt.subplots(figsize=(1.5 + 0.6 * len(column_names), 1.5 + 0.5 * len(row_names)))
values = mean.to_numpy(float)
both = np.nanmin(values) < 0 < np.nanmax(values)
most = np.nanmax(np.abs(values))
image = axes.imshow(values, cmap="PuOr" if both else "cividis", aspect="auto",
                    **(dict(vmin=-most, vmax=most) if both else {}))
axes.set_xticks(range(len(column_names)), column_names)
axes.set_yticks(range(len(row_names)), row_names)
axes.grid(False)
figure.colorbar(image)
axes.set(title=table["plot"]["title"], xlabel=table["plot"]["x"], ylabel=table["plot"]["y"])
figure.tight_layout()

# %% [markdown] sweep-text if=sweep
# ## The sweep
#
# The last value of one metric, mean ± standard deviation over the seeds, by what the sweep varies; the bands of
# the figure reach from the lowest to the highest.

# %% sweep if=sweep
last = metrics.sort_values("step", kind="stable").groupby(["run", "metric"]).value.last().reset_index()
names = list(dict.fromkeys(last.metric))
metric = METRIC or next((n for n in names if n.startswith("eval/") and not n.endswith("/loss")), names[0])
data = points.merge(last[last.metric == metric], on="run")
fixed = ["point", "label", "seed", "spec", "stage", "method", "run", "metric", "value"]
swept = [c for c in data.columns if c not in fixed and data[c].nunique() > 1]
numeric = {c: pd.to_numeric(data[c], errors="coerce").nunique() for c in swept if pd.to_numeric(data[c], errors="coerce").notna().all()}
across = max(numeric, key=numeric.get) if numeric else None
told = data.groupby("label")[swept].nunique().max() > 1   # what a label does not stand for
kept = [c for c in ["spec", "stage", "label"] + [c for c in swept if told[c]] if c != across and data[c].nunique() > 1]
data["arm"] = data[kept].astype(str).agg(", ".join, axis=1) if kept else metric
data["x"] = pd.to_numeric(data[across]) if across else ""
spread = data.drop_duplicates(["arm", "x", "run"]).groupby(["arm", "x"], sort=False).value.agg(["mean", "std", "min", "max"])
shown = spread["mean"].map("{:.4f}".format) + spread["std"].map(lambda s: "" if np.isnan(s) else f" ± {s:.4f}")
print(metric, "over", across or "its runs")
shown.unstack("x")

# %% sweep-figure if=sweep
figure, axes = plt.subplots()
arms = list(dict.fromkeys(spread.index.get_level_values("arm")))
for i, arm in enumerate(arms[:MOST]):
    one = spread.loc[arm].sort_index()
    style = dict(color=COLOURS[i % 7], marker=MARKERS[i % 7], label=arm)
    if across:
        axes.plot(one.index, one["mean"], **style)
        axes.fill_between(one.index, one["min"], one["max"], color=COLOURS[i % 7], alpha=0.18, linewidth=0)
    else:
        axes.errorbar([i], one["mean"], [one["mean"] - one["min"], one["max"] - one["mean"]], linestyle="", capsize=3, **style)
if not across:
    axes.set_xticks(range(len(arms[:MOST])), arms[:MOST])
    axes.set_xlim(-0.5, len(arms[:MOST]) - 0.5)
axes.set(title=metric, xlabel=across or "", ylabel=metric.rsplit("/", 1)[-1])
if across and len(arms) > 1:
    axes.legend(frameon=False)
figure.tight_layout()

# %% [markdown] curves-text if=curves
# ## Training
#
# The loss of the stages that train: the mean over the seeds, with a band from the lowest to the highest.

# %% curves if=curves
figure, axes = plt.subplots()
trained = runs[runs.run.isin(metrics[metrics.metric == "train/loss"].run)]
groups = trained.groupby([trained.spec, trained.stage, trained.run.map(varied)], sort=False)
for i, (name, group) in enumerate(list(groups)[:MOST]):
    curves = pd.DataFrame({run: pd.Series(*series(run, "train/loss")[::-1]) for run in group.run}).sort_index()
    curves = curves.rolling(SMOOTH, min_periods=1).mean()
    level = curves.mean(axis=1)
    axes.plot(level.index, level, color=COLOURS[i % 7], label=" ".join(part for part in name[1:] if part))
    axes.fill_between(level.index, curves.min(axis=1), curves.max(axis=1), color=COLOURS[i % 7], alpha=0.18, linewidth=0)
axes.set(title="Training", xlabel="step", ylabel="train/loss")
axes.legend(frameon=False)
figure.tight_layout()

# %% [markdown] heads-text if=heads
# ## Importance of the heads
#
# The mean over the seeds; heads that are not there are grey.

# %% heads if=heads
scored = runs[[f"runs/{run}/scores/importance" in h5 for run in runs.run]]
groups = list(scored.groupby([scored.spec, scored.stage, scored.run.map(varied)], sort=False))[:MOST]
figure, axes = plt.subplots(1, len(groups), squeeze=False, figsize=(1 + 5 * len(groups), 4))
for plot, (name, group) in zip(axes[0], groups):
    values = np.mean([h5[f"runs/{run}/scores/importance"][:] for run in group.run], axis=0)
    image = plot.imshow(np.ma.masked_invalid(values), cmap="cividis")
    plot.set_facecolor("#bbbbbb")
    plot.grid(False)
    plot.set_xticks(range(values.shape[1]))
    plot.set_yticks(range(values.shape[0]))
    plot.set(title=" ".join(part for part in name[1:] if part), xlabel="head", ylabel="layer")
    figure.colorbar(image, ax=plot, fraction=0.046 * values.shape[0] / values.shape[1], pad=0.04)
figure.tight_layout()

# %% [markdown] predictions-text if=predictions
# ## Predictions
#
# Accuracy from the stored predictions, which must be the one that was recorded, and the examples that most runs
# get wrong.

# %% predictions if=predictions
wrong = []


def evaluations(run):
    """The groups of a run that hold classes of examples: eval/<task>/<split>."""
    found = []
    if "eval" in h5["runs"][run]:
        h5["runs"][run]["eval"].visititems(
            lambda name, item: found.append(name) if isinstance(item, h5py.Group) and {"pred", "label"} <= set(item) else None)
    return found


for run in runs.run:
    for name in evaluations(run):
        e = h5["runs"][run]["eval"][name]
        told = e["label"][:] >= 0
        miss = e["pred"][:][told] != e["label"][:][told]
        wrong.append(pd.DataFrame({"evaluation": name, "example": e["example_id"].asstr()[:][told], "wrong": miss}))
        if f"runs/{run}/metrics/eval/{name}/accuracy" in h5:
            assert np.isclose(1 - miss.mean(), series(run, f"eval/{name}/accuracy")[1][-1], rtol=1e-12), (run, name)
wrong = pd.concat(wrong).groupby(["evaluation", "example"], sort=False).wrong.agg(["mean", "size"])
wrong.columns = ["share of runs that miss it", "runs"]
wrong.sort_values(wrong.columns[0], ascending=False, kind="stable").head(10)
