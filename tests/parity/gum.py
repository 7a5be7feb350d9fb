"""PyTorch's side of test_gum.c: the figures of GUM of an exported model, in float64.

    python gum.py DIR     DIR/model is a Hugging Face folder, DIR/told.json what Retort computed of it; exits 0 if the loss, the
                          gradients of scores, U, R and its gradient, sensitivity and uniqueness agree to 1e-5 (normwise)
"""
import json
import os
import pathlib
import sys

os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"

import torch  # noqa: E402
from transformers import AutoModelForCausalLM

where = pathlib.Path(sys.argv[1])
told = json.loads((where / "told.json").read_text())
model = AutoModelForCausalLM.from_pretrained(where / "model", attn_implementation="eager").double().eval()
body = model.model if hasattr(model, "model") else model.transformer
blocks = body.layers if hasattr(body, "layers") else body.h
outputs = [[] for _ in blocks]
parts = []
for k, b in enumerate(blocks):
    if hasattr(b.mlp, "down_proj"):
        rows, out = [b.mlp.gate_proj.weight, b.mlp.up_proj.weight], b.mlp.down_proj
        parts.append((rows, [], out.weight))
    else:
        out = b.mlp.c_proj
        parts.append(([b.mlp.c_fc.weight], [b.mlp.c_fc.bias], out.weight))
    out.register_forward_pre_hook(lambda m, args, k=k: outputs[k].append(args[0].detach().reshape(-1, args[0].shape[-1])))
transposed = type(getattr(blocks[0].mlp, "c_fc", None)).__name__ == "Conv1D"

total, count = 0, 0
for ids in told["ids"]:
    i = torch.tensor(ids)
    z = model(i[None]).logits[0]
    total = total + torch.nn.functional.cross_entropy(z[:-1], i[1:], reduction="sum")
    count += len(ids) - 1
loss = total / count
loss.backward()

worst = 0.0


def same(name, got, want):
    global worst
    got, want = torch.tensor(got).double().reshape(-1), torch.as_tensor(want).double().detach().reshape(-1)
    error = float((got - want).norm() / want.norm().clamp_min(1e-30))
    worst = max(worst, error)
    if not error < 1e-5:
        sys.exit(f"{name}: {error:.3g} apart")


same("loss", told["loss"], loss)
similar = left = 0
penalty = 0
for k, (rows, biases, out) in enumerate(parts):
    t = told["layers"][k]
    axis = 0 if transposed else 1
    grad = sum((w.grad * w).sum(axis) for w in rows) + (out.grad * out).sum(1 if transposed else 0)
    same(f"dS {k}", t["grad"], grad)
    same(f"sensitivity {k}", t["sensitivity"], (grad + sum(b.grad * b for b in biases)).abs())
    h = torch.cat(outputs[k])
    c = told["beta"] * h.T @ h
    root = c.diagonal().sqrt()
    sim = c / (root[:, None] * root[None, :] + 1e-6)
    n = len(root)
    u = told["lambda_gum"] * (sim.abs().sum(0) - sim.diagonal().abs()) / (n * told["v"])
    same(f"U {k}", t["u"], u)
    s = torch.tensor(t["score"]).double().requires_grad_()
    r = (torch.sigmoid(s) * (1 + u)).mean() / told["divisor"]
    (told["lambda"] * r).backward()
    same(f"gradient of R {k}", t["penalty"], s.grad)
    penalty += float(r.detach())
    alive = [j for j in range(n) if t["alive"][j]]
    left += len(alive)
    similar += sum(any(sim[i, j] >= told["threshold"] for j in alive if j > i) for i in alive)
same("R", told["penalty"], penalty)
same("uniqueness", told["uniqueness"], 1 - similar / left)
print(f"largest difference {worst:.2g}; {similar} of {left} neurons similar")
