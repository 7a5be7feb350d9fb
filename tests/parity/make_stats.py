"""Writes tests/parity/fixtures/stats.h: Student's t, paired tests and equivalence by SciPy and statsmodels. Run from the root of the clone."""
import numpy as np
import scipy
from scipy import stats
from statsmodels.stats import multitest, weightstats
from statsmodels.stats.power import TTestPower

rng = np.random.Generator(np.random.PCG64(7))
out = [f"/* Made by tests/parity/make_stats.py with SciPy {scipy.__version__}. */"]
out.append("static const struct { double p, df, t; } quantiles[] = {")
for df in (1, 2, 3, 5, 9, 19, 29.5, 100, 1e6):
    for p in (0.005, 0.025, 0.3, 0.9, 0.975, 0.995, 0.999999):
        out.append(f"    {{{p!r}, {float(df)!r}, {float(stats.t.ppf(p, df))!r}}},")
out.append("};\nstatic const struct { double t, df, p; } cdfs[] = {")
for df in (1, 2.5, 7, 30, 1000):
    for t in (-40.0, -3.1, -1e-3, 0.0, 0.7, 2.2, 12.0):
        out.append(f"    {{{t!r}, {float(df)!r}, {float(stats.t.cdf(t, df))!r}}},")
out.append("};\nstatic const struct { int64_t n; double a[20], b[20], t, p; } pairs[] = {")
for n in (2, 3, 6, 20):
    a = rng.normal(0.85, 0.01, n).round(4)
    b = (a + rng.normal(0.005, 0.01, n)).round(4)
    r = stats.ttest_rel(a, b)
    text = lambda v: "{" + ", ".join(repr(float(x)) for x in v) + "}"
    out.append(f"    {{{n}, {text(a)}, {text(b)}, {float(r.statistic)!r}, {float(r.pvalue)!r}}},")
out.append("};\nstatic const struct { int64_t b, c; double p; } mcnemar[] = {")
for b, c in ((0, 0), (0, 5), (3, 3), (1, 9), (12, 25), (300, 360), (0, 1000), (5000, 5200)):
    p = 1.0 if b + c == 0 else float(stats.binomtest(b, b + c).pvalue)
    out.append(f"    {{{b}, {c}, {p!r}}},")
out.append("};")
out.append("static const struct { int64_t n; double x[72], y[72], r, r_p, rho, rho_p; } correlations[] = {")
for n, noise, digits in ((3, 0.1, 6), (5, 1.0, 6), (12, 0.5, 1), (30, 5.0, 0), (72, 0.7, 3), (72, 0.01, 6)):
    x = rng.normal(0, 1, n).round(digits)
    y = (x + rng.normal(0, noise, n)).round(digits)
    p, s = stats.pearsonr(x, y), stats.spearmanr(x, y)
    text = lambda v: "{" + ", ".join(repr(float(e)) for e in v) + "}"
    out.append(f"    {{{n}, {text(x)}, {text(y)}, {float(p.statistic)!r}, {float(p.pvalue)!r}, {float(s.statistic)!r}, {float(s.pvalue)!r}}},")
out.append("};")
out.append("static const struct { int64_t n, m; double a[20], b[20], margin, df, low, high, p; } equivalences[] = {")
for n, m, scale, margin in ((2, 2, 1.0, 0.5), (3, 6, 1.0, 2.0), (20, 6, 0.8, 2.0), (6, 6, 0.01, 0.001), (20, 20, 1e-9, 1e-9), (5, 2, 3.0, 9.0)):
    a, b = rng.normal(0, scale, n), rng.normal(0.3 * scale, 2 * scale, m)
    ci = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.9)
    df = stats.ttest_ind(a, b, equal_var=False).df
    p = weightstats.ttost_ind(a, b, -margin, margin, usevar="unequal")[0]
    out.append(f"    {{{n}, {m}, {text(a)}, {text(b)}, {margin!r}, {float(df)!r}, {float(ci.low)!r}, {float(ci.high)!r}, {float(p)!r}}},")
out.append("};")
out.append("static const struct { int64_t n; double p[20], adjusted[20]; } holm[] = {")
for n in (1, 2, 5, 20):
    p = (rng.uniform(0, 1, n) ** 3).round(3)
    q = multitest.multipletests(p, method="holm")[1]
    out.append(f"    {{{n}, {text(p)}, {text(q)}}},")
out.append("};")
out.append("static const struct { double effect, n, alpha, power; } powers[] = {")
for effect in (0.0, 0.2, 0.5, 1.0, 2.5, -1.0, 12.0):
    for n in (2, 3, 6, 20, 200):
        alpha = 0.05 if n != 6 else 0.005
        power = float(TTestPower().power(effect, n, alpha))
        if not np.isnan(power):  # SciPy's noncentral t does not reach so far
            out.append(f"    {{{effect!r}, {float(n)!r}, {alpha!r}, {power!r}}},")
out.append("};")
out.append("static const struct { double effect, alpha, power; int64_t n; } needed[] = {")
for effect, alpha, power in ((0.2, 0.05, 0.8), (0.5, 0.05, 0.8), (1.0, 0.005, 0.9), (3.0, 0.05, 0.8), (0.05, 0.01, 0.95)):
    n = next(n for n in range(2, 10**6) if TTestPower().power(effect, n, alpha) >= power)
    out.append(f"    {{{effect!r}, {alpha!r}, {power!r}, {n}}},")
out.append("};")
open("tests/parity/fixtures/stats.h", "w").write("\n".join(out) + "\n")
