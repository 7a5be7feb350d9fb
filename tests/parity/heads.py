"""Checks a store of head experiments by PyTorch in float64: importance, ablations, curves, removal.

    python heads.py RUNS.json STORE FOLDER TASK DATA.tsv MAX_LEN

RUNS.json is `retort ls --json`, STORE its folder, FOLDER the fine-tuned model as exported, DATA.tsv the dev split of TASK (mrpc or sst2). The runs
are those of heads.sh; all speak of the same examples, the one that is named "alone" says which. Everything is computed
anew from the exported weights and the text: tokens by transformers, gates by hooks before each output map.

Predictions must be equal wherever the margin of float64 exceeds 1e-4; at most 1 % of them may be excluded so.
"""
import json
import pathlib
import sys

import h5py
import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, logging

MARGIN, IMPORTANCE, LOGITS = 1e-4, 1e-4, 1e-4
failures = []


def check(ok, text):
    print(("ok   " if ok else "FAIL ") + text, flush=True)
    if not ok:
        failures.append(text)


class Gated:
    """The exported model with a gate for each sequence and head, as the paper puts it: before W_o."""

    def __init__(self, folder):
        self.model = AutoModelForSequenceClassification.from_pretrained(
            folder, attn_implementation="eager", dtype=torch.float64).eval().requires_grad_(False)
        cfg = self.model.config
        self.layers, self.heads = cfg.num_hidden_layers, cfg.num_attention_heads
        self.gates = [None] * self.layers
        self.context = [None] * self.layers
        self.keep_context = False
        for i, layer in enumerate(self.model.bert.encoder.layer):
            layer.attention.output.dense.register_forward_pre_hook(lambda _, args, i=i: self.gate(i, args[0]))

    def gate(self, i, context):
        if self.gates[i] is not None:
            b, t, c = context.shape
            gate = self.gates[i].expand(b, self.heads)
            context = (context.view(b, t, self.heads, -1) * gate[:, None, :, None]).view(b, t, c)
        if self.keep_context:
            context = context.requires_grad_() if not context.requires_grad else context
            context.retain_grad()
            self.context[i] = context
        return (context,)

    def logits(self, batch, mask=None):
        """Logits with the heads masked whose entry in (L, H) is 0."""
        self.gates = [None if mask is None else mask[i:i + 1] for i in range(self.layers)]
        with torch.no_grad():
            return self.model(**batch).logits

    def without_each(self, batch):
        """(L, H, n, 2) logits without one head. What comes before its layer is computed once for all."""
        calls, out = [], torch.zeros(self.layers, self.heads, len(batch["input_ids"]), 2, dtype=torch.float64)
        blocks, bert = self.model.bert.encoder.layer, self.model.bert
        hooks = [b.register_forward_pre_hook(lambda _, args, kwargs: calls.append((args, kwargs)), with_kwargs=True) for b in blocks]
        self.logits(batch)
        for hook in hooks:
            hook.remove()
        with torch.no_grad():
            for i in range(self.layers):
                for h in range(self.heads):
                    self.gates = [None] * self.layers
                    self.gates[i] = torch.ones(1, self.heads, dtype=torch.float64)
                    self.gates[i][0, h] = 0
                    hidden = calls[i][0][0]
                    for block, (args, kwargs) in zip(blocks[i:], calls[i:]):
                        hidden = block(hidden, *args[1:], **kwargs)
                        hidden = hidden[0] if isinstance(hidden, tuple) else hidden
                    out[i, h] = self.model.classifier(bert.pooler(hidden))
        return out


def read_examples(path, task, ids):
    """First texts, second texts or None, labels."""
    lines = path.read_text(encoding="utf-8-sig").rstrip("\n").split("\n")[1:]
    rows = [lines[int(i)].rstrip("\r").split("\t") for i in ids]
    if task == "sst2":
        return [r[0] for r in rows], None, torch.tensor([int(r[1]) for r in rows])
    return [r[3] for r in rows], [r[4] for r in rows], torch.tensor([int(r[0]) for r in rows])


def batches(tok, a, b, max_len, size=32):
    for i in range(0, len(a), size):
        yield tok(a[i:i + size], b and b[i:i + size], truncation="longest_first", max_length=max_len, padding=True, return_tensors="pt")


def sample_gradients(gated, data, labels):
    """Gradients of each sample's own loss by its gates (n, L, H); sums over positions of |c . dL/dc| (L, H)."""
    grads, positions, at = [], torch.zeros(gated.layers, gated.heads, dtype=torch.float64), 0
    gated.keep_context = True
    for batch in data:
        n, t = batch["input_ids"].shape
        gated.gates = [torch.ones(n, gated.heads, dtype=torch.float64, requires_grad=True) for _ in range(gated.layers)]
        loss = torch.nn.functional.cross_entropy(gated.model(**batch).logits, labels[at:at + n], reduction="sum")
        loss.backward()
        grads.append(torch.stack([g.grad for g in gated.gates], 1))
        for i, c in enumerate(gated.context):
            dot = (c.detach() * c.grad).view(n, t, gated.heads, -1).sum(-1).abs()
            positions[i] += (dot * batch["attention_mask"][:, :, None]).sum((0, 1))
        at += n
    gated.keep_context = False
    return torch.cat(grads), positions


def importance(grads, positions, size=32):
    n = len(grads)
    batch = sum(grads[i:i + size].sum(0).abs() for i in range(0, n, size))
    raw = {"sample": grads.abs().sum(0) / n, "position": positions / n, "batch": batch / n}
    return {k: (v, v / (v.norm(dim=1, keepdim=True) + 1e-20)) for k, v in raw.items()}


def off(got, want):
    """Largest normwise relative difference over the layers."""
    got = torch.as_tensor(got)
    return ((got - want).norm(dim=-1) / want.norm(dim=-1)).max().item()


class Agreement:
    """Predictions here and there, those too near to call left out."""

    def __init__(self):
        self.total = self.near = self.wrong = 0

    def add(self, logits, pred):
        margin = (logits[:, 1] - logits[:, 0]).abs()
        clear = margin > MARGIN
        self.total += len(pred)
        self.near += int((~clear).sum())
        self.wrong += int((logits.argmax(1) != torch.as_tensor(pred).long())[clear].sum())

    def report(self, what):
        check(self.wrong == 0 and self.near <= 0.01 * self.total,
              f"{what}: {self.total} predictions, {self.wrong} differ, {self.near} too near to call")


def remove_heads(gated, folder, mask):
    """Another model without the masked heads' rows and columns."""
    small = AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="eager", dtype=torch.float64).eval()
    d = small.config.hidden_size // gated.heads
    for i, layer in enumerate(small.bert.encoder.layer):
        rows = torch.cat([torch.arange(h * d, (h + 1) * d) for h in range(gated.heads) if mask[i, h]] or [torch.arange(0)])
        attention = layer.attention.self
        for map_ in (attention.query, attention.key, attention.value):
            map_.weight.data, map_.bias.data = map_.weight.data[rows], map_.bias.data[rows]
        layer.attention.output.dense.weight.data = layer.attention.output.dense.weight.data[:, rows]
    return small


def main():
    runs, store, folder, task, tsv, max_len = sys.argv[1:]
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(2)
    store, max_len = pathlib.Path(store), int(max_len)
    found = {}
    for r in json.loads(pathlib.Path(runs).read_text()):
        if r["state"] == "sealed":
            found[r["stage"], r["variables"].get("pruned.ratio")] = store / r["id"][:2] / r["id"] / "run.h5"

    def read(stage, path, ratio=None):
        with h5py.File(found[stage, ratio]) as f:
            return f[path][()]

    def predictions(stage, ratio=None):
        with h5py.File(found[stage, ratio]) as f:
            return {k: v[()] for k, v in next(iter(f["eval/glue"][task].values())).items()}

    gated = Gated(folder)
    base = predictions("alone")
    a, b, labels = read_examples(pathlib.Path(tsv), task, base["example_id"])
    check(bool((labels.numpy() == base["label"]).all()), f"labels of {len(labels)} examples")
    data = list(batches(AutoTokenizer.from_pretrained(folder), a, b, max_len))

    def all_logits(mask=None):
        return torch.cat([gated.logits(x, mask) for x in data])

    want = importance(*sample_gradients(gated, data, labels))
    for variant, (raw, normed) in want.items():
        d = off(read(variant, "scores/raw"), raw)
        check(d <= IMPORTANCE, f"importance per {variant}, raw: {d:.1e} in the worst layer")
        d = off(read(variant, "scores/importance"), normed)
        check(d <= IMPORTANCE, f"importance per {variant}, normalised: {d:.1e} in the worst layer")

    logits = all_logits()
    d = off(base["logits"].astype(float).ravel(), logits.ravel())
    check(d <= LOGITS, f"logits of the whole model: {d:.1e}")
    check(0 < base["pred"].sum() < len(labels), f"both classes are predicted: {np.bincount(base['pred'])}")
    said, drop, one = read("alone", "scores/pred"), read("alone", "scores/ablation"), Agreement()
    right = (base["pred"] == labels.numpy()).mean()
    without = torch.cat([gated.without_each(x) for x in data], 2)
    for i in range(gated.layers):
        for h in range(gated.heads):
            one.add(without[i, h], said[i, h])
            if abs(right - (said[i, h] == labels.numpy()).mean() - drop[i, h]) > 1e-12:
                check(False, f"accuracy lost without head {i}.{h}")
    changed = int((said != base["pred"]).sum())
    check(changed > 0, f"ablations change {changed} predictions")
    one.report(f"ablations of {gated.layers * gated.heads} heads")

    curve, worst, worst_small, worst_same = Agreement(), 0, 0, 0
    order = np.argsort(read("sample", "scores/importance").ravel(), kind="stable")
    for ratio in sorted(r for s, r in found if s == "masked"):
        mask = torch.ones(gated.layers * gated.heads, dtype=torch.float64)
        mask[order[:int(np.floor(ratio * len(order) + 1e-9))]] = 0
        mask = mask.view(gated.layers, gated.heads)
        logits, got, small = all_logits(mask), predictions("masked", ratio), predictions("small", ratio)
        curve.add(logits, got["pred"])
        curve.add(logits, small["pred"])
        with torch.no_grad():
            removed = remove_heads(gated, folder, mask)
            cut = torch.cat([removed(**x).logits for x in data]) if mask.sum(1).min() > 0 else logits
        worst = max(worst, off(got["logits"].astype(float).ravel(), logits.ravel()))
        worst_small = max(worst_small, off(small["logits"].astype(float).ravel(), cut.ravel()))
        worst_same = max(worst_same, off(small["logits"].astype(float).ravel(), torch.as_tensor(got["logits"].astype(float).ravel())))
    curve.report("pruning curve, masked and removed")
    check(worst <= LOGITS, f"logits with heads masked: {worst:.1e}")
    check(worst_small <= LOGITS, f"logits with heads removed: {worst_small:.1e}")
    check(worst_same <= 1e-5, f"masked against removed: {worst_same:.1e}")
    sys.exit(1 if failures else 0)


main()
