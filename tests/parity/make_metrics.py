"""Writes fixtures/metrics.tsv: what scikit-learn and SciPy say of small predictions.

    metric <tab> classes (0: numbers) <tab> value <tab> labels, spaced <tab> predictions, spaced

usage: make_metrics.py > fixtures/metrics.tsv
"""

import warnings

import numpy as np
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

warnings.simplefilter("ignore")
rng = np.random.Generator(np.random.PCG64(5))


def show(metric, classes, value, y, p):
    words = [" ".join(repr(v.item()) for v in x) for x in (y, p)]
    print(metric, classes, repr(float(value)), *words, sep="\t")


def of_classes(k, y, p):
    show("accuracy", k, accuracy_score(y, p), y, p)
    show("matthews", k, matthews_corrcoef(y, p), y, p)
    if k == 2:
        show("f1", k, f1_score(y, p, pos_label=1, zero_division=0), y, p)


def of_numbers(y, p):
    show("pearson", 0, pearsonr(y, p)[0], y, p)
    show("spearman", 0, spearmanr(y, p)[0], y, p)


for k in (2, 3):
    for n in (1, 2, 7, 50, 300):
        y, p = rng.integers(0, k, n), rng.integers(0, k, n)
        of_classes(k, y, p)
        of_classes(k, y, np.where(rng.random(n) < 0.8, y, p))
    of_classes(k, y, y)
    of_classes(k, y, np.zeros_like(y))  # constant predictions
    of_classes(k, np.ones_like(y), p)  # constant labels
    of_classes(k, np.zeros_like(y), np.zeros_like(y))
of_classes(2, y % 2, 1 - y % 2)
for n in (2, 3, 10, 200):
    y, p = rng.normal(size=n), rng.normal(size=n)
    of_numbers(y, p)
    of_numbers(y, y + 0.3 * p)
    of_numbers(np.round(y, 0) + 0.0, np.round(p + y, 1) + 0.0)  # ties
of_numbers(y, 2 * y + 1)
of_numbers(y, -y)
of_numbers(1e8 + y, p * 1e-8)
of_numbers(y, np.full(n, 2.5))  # not defined
of_numbers(np.full(n, 2.5), p)
