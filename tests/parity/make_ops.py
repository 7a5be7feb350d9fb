"""Writes fixtures/ops.h: ops in PyTorch float64; loss = sum(y * y), gradients of x, w, b, g.

Dropout's masks are drawn here from the definition of the streams (include/retort/rng.h and ops.h), so
the fixtures hold our integers too.
"""
import hashlib
import os

import torch
import torch.nn.functional as F

torch.manual_seed(1)


def r(*shape):
    return torch.randn(*shape).double().requires_grad_()


x, w, b, g = r(8, 6), r(5, 6), r(5), r(6)
label = torch.tensor([0, 2, 5, 1, 3, 2, 0, 1])
few = torch.tensor([0, 2, -1, 1, 3, 2, 0, -1])  # -1: the row does not count
ids = torch.tensor([1, 0, 4, 4, 2, 1, 3, 0])
target = torch.tensor([1.0, 2, 3, 4, 5, 0, 0, 0]).double()
OFF = [(0, 3), (3, 8)]
PLACES = [(7, 0), (7, 1), (7, 2)] + [(9, i) for i in range(5)]

MUL, M128, M64 = 0x2360ED051FC65DA44385DF649FCCF645, (1 << 128) - 1, (1 << 64) - 1


def stream(seed, purpose):
    d = hashlib.sha256(seed.to_bytes(8, "little") + purpose.encode()).digest()
    return int.from_bytes(d[:16], "big"), int.from_bytes(d[16:], "big") | 1


def draw(state, inc, n):
    """Draw number n, counted from 0: the state after n + 1 steps."""
    mul, add, a, c, n = 1, 0, MUL, inc, n + 1
    while n:
        if n & 1:
            mul, add = mul * a & M128, (add * a + c) & M128
        c, a, n = c * (a + 1) & M128, a * a & M128, n >> 1
    state = (state * mul + add) & M128
    v, rot = (state >> 64 ^ state) & M64, state >> 122
    return (v >> rot | v << (64 - rot)) & M64


def keep(p, state, inc, first, n):
    bits = [draw(state, inc, first + i // 2) >> 32 * (i % 2) & 0xFFFFFFFF for i in range(n)]
    return [float(v >= p * 2**32) / (1 - p) for v in bits]


def rows_kept(p, purpose, seed, columns):
    s, i = stream(seed, purpose)
    return torch.tensor([keep(p, s, i, (e * 2**16 + t) * 2**16, columns) for e, t in PLACES]).double()


def heads_kept(p, purpose, seed, example, head, t):
    s, i = stream(seed, purpose)
    return torch.tensor([keep(p, s, i, ((example * 256 + head) * 2**12 + q) * 2**11, t)
                         for q in range(t)]).double()


def att(q, k, v, gates=None, p=0.0, mask=None, first=False):
    """Heads of 3; gates (2, 2); dropout from "dropout/site/3" of seed 5."""
    out = []
    for s, (lo, hi) in enumerate(OFF):
        heads = []
        for h in range(2):
            c = slice(3 * h, 3 * h + 3)
            score = q[lo:hi, c] @ k[lo:hi, c].T / 3**0.5
            if mask is not None:
                score = score.masked_fill(~mask[lo:hi], -torch.inf)
            prob = score.softmax(-1)
            if p:
                prob = prob * heads_kept(p, "dropout/site/3", 5, PLACES[lo][0], h, hi - lo)
            y = prob @ v[lo:hi, c]
            heads.append(y * gates[s, h] if gates is not None else y)
        y = torch.cat(heads, 1)
        out.append(y[:1] if first else y)
    return torch.cat(out)


def segments(z):
    return torch.stack([F.cross_entropy(z[lo:hi][None], torch.tensor([t]))
                        for (lo, hi), t in zip(OFF, (2, 4))]).mean()


gate = torch.stack([g[:2], g[2:4]])
masked = torch.tensor([True, False, True, True, True, False, True, True])
CASES = {
    "linear": F.linear(x, w, b),
    "gelu": F.gelu(x),
    "relu": F.relu(x),
    "tanh": torch.tanh(x),
    "layernorm": F.layer_norm(x, (6,), g, g, 1e-5),
    "softmax": F.softmax(x, -1),
    "log_softmax": F.log_softmax(x, -1),
    "add_row": x + g,
    "mul": x * F.gelu(x),
    "mul_row": x * g,
    "embedding": F.embedding(ids, w),
    "take_rows": x[ids],
    "take_column": x[:, 2],
    "dropout": x * rows_kept(0.3, "dropout/site/3", 5, 6),
    "dropout_add_norm": F.layer_norm(x * g + F.gelu(x) * rows_kept(0.3, "dropout/site/3", 5, 6),
                                     (6,), g, g, 1e-5),
    "attention": att(x, x * g, x),
    "attention_gates": att(x, x * g, x, gate),
    "attention_dropout": att(x, x * g, F.gelu(x), gate, 0.4),
    "attention_mask": att(x, x * g, x, None, 0.0, masked),
    "attention_first": att(x, x * g, x, gate, 0.4, None, True),
    "cross_entropy": F.cross_entropy(x, label),
    "cross_entropy_few": F.cross_entropy(x, few, ignore_index=-1),
    "squared_error": F.mse_loss(x[:, 1], target),
    "segment_cross_entropy": segments(x[:, 3]),
    "linear_cross_entropy": F.cross_entropy(F.linear(x, w, b), few, ignore_index=-1),
}

with open(os.path.join(os.path.dirname(__file__), "fixtures", "ops.h"), "w") as f:
    def put(name, rows):
        f.write("static const double %s = {\n" % name)
        for t in rows:
            f.write("{" + ", ".join("%.17g" % v for v in t) + "},\n")
        f.write("};\n")

    f.write("/* made by tests/parity/make_ops.py */\n")
    f.write("enum { OPS_CASES = %d };\n" % len(CASES))
    f.write("static const char *const names[] = {%s};\n" % ", ".join('"%s"' % n for n in CASES))
    put("inputs[4][48]", [t.detach().flatten().tolist() for t in (x, w, b, g)])
    rows = []
    for y in CASES.values():
        gr = torch.autograd.grad((y * y).sum(), (x, w, b, g), retain_graph=True, allow_unused=True)
        gr = [torch.zeros_like(p) if d is None else d for d, p in zip(gr, (x, w, b, g))]
        rows.append([(y * y).sum().item()] + torch.cat([d.flatten() for d in gr]).tolist())
    put("wanted[OPS_CASES][90]", rows)
