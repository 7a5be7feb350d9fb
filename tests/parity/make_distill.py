#!/usr/bin/env python3
"""Losses of PKD and their gradients by PyTorch in float64, for test_distill_torch.c.

Writes fixtures/distill.txt: B C D K, then logits, teacher's logits, states (K, B, D), teacher's states, labels; then for
each case "alpha beta T scaling normalize", the loss, and the gradients by logits and by states. scaling: 0 code,
1 published, 2 hinton (methods/distill/terms.h).
"""
import itertools
import os

import torch
import torch.nn.functional as F

torch.manual_seed(5)
B, C, D, K = 6, 3, 16, 2
f32 = lambda *shape: torch.randn(*shape, dtype=torch.float32).double()
logits, teacher, mine, theirs = f32(B, C), f32(B, C) * 3, f32(K, B, D), f32(K, B, D)
labels = torch.randint(0, C, (B,))


def loss(z, h, alpha, beta, T, scaling, normalize):
    hard = F.cross_entropy(z, labels)
    p, log_q = F.softmax(teacher / T, -1), F.log_softmax(z / T, -1)
    if scaling == 0:
        soft = F.kl_div(log_q, p, reduction="mean") * T * T
    elif scaling == 1:
        soft = -(p * log_q).sum()
    else:
        soft = F.kl_div(log_q, p, reduction="batchmean") * T * T
    a, b = (F.normalize(h, dim=-1), F.normalize(theirs, dim=-1)) if normalize else (h, theirs)
    states = ((a - b) ** 2).sum() if scaling == 1 else F.mse_loss(a, b)
    return (1 - alpha) * hard + alpha * soft + beta * states


path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures", "distill.txt")
with open(path, "w") as out:
    put = lambda x: out.write(" ".join("%.10g" % v for v in x.detach().reshape(-1).tolist()) + "\n")
    out.write(f"{B} {C} {D} {K}\n")
    for x in (logits, teacher, mine, theirs, labels.double()):
        put(x)
    cases = [(a, b, T, s, n) for (a, b), T, s, n in itertools.product(
        [(0, 0), (0.5, 0), (0.7, 100), (1, 10), (0, 500)], [1, 5, 20], [0, 1, 2], [0, 1])]
    out.write(f"{len(cases)}\n")
    for c in cases:
        z, h = logits.clone().requires_grad_(), mine.clone().requires_grad_()
        value = loss(z, h, *c)
        value.backward()
        out.write("%.17g %.17g %.17g %d %d\n" % c)
        put(value)
        put(z.grad if z.grad is not None else torch.zeros_like(z))
        put(h.grad if h.grad is not None else torch.zeros_like(h))
