"""PyTorch's side of the tests that run it: float64, transformers' eager attention, no dropout.

    python oracle.py gradients FOLDER BATCHES.safetensors OUT.safetensors
    python oracle.py steps FOLDER BATCHES.safetensors OUT.safetensors

FOLDER is a checkpoint with its head that Retort wrote, BATCHES the sequences of the batches in their order. `gradients`
writes the logits of the first batch and the gradient of its mean loss by every parameter, under the parameters' names.
`steps` trains one step on each batch (AdamW, decay on matrices alone, warm-up over a tenth, linear decay, clipping at
global norm 1) and writes the losses and the norms of the gradients before clipping.
"""
import sys

import numpy as np
import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file
from transformers import AutoModelForSequenceClassification, get_linear_schedule_with_warmup, logging


def read_batches(path):
    """Padded batches: ids, types, mask, labels."""
    d = load_file(path)
    batch = int(d["batch"][0])
    ends = np.cumsum(d["length"])
    for at in range(0, len(ends), batch):
        rows = range(at, min(at + batch, len(ends)))
        longest = max(d["length"][i] for i in rows)
        out = np.zeros((3, len(rows), longest), np.int64)
        for k, i in enumerate(rows):
            n = d["length"][i]
            out[0, k, :n] = d["id"][ends[i] - n:ends[i]]
            out[1, k, :n] = d["type"][ends[i] - n:ends[i]]
            out[2, k, :n] = 1
        ids, types, mask = torch.from_numpy(out)
        yield {"input_ids": ids, "token_type_ids": types, "attention_mask": mask}, torch.from_numpy(d["label"][rows].astype(np.int64))


def load(folder, dtype=torch.float64):
    """The model without dropout, but with gradients."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(2)
    return AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="eager", dtype=dtype).eval()


def gradients(folder, batches):
    model = load(folder)
    inputs, labels = next(read_batches(batches))
    logits = model(**inputs).logits
    torch.nn.functional.cross_entropy(logits, labels).backward()
    out = {name: p.grad.float() for name, p in model.named_parameters()}
    out["logits"] = logits.detach().float()
    return out


def groups(model):
    """Decay for matrices, none for biases and LayerNorm."""
    def plain(name):
        return name.endswith("bias") or "LayerNorm" in name
    return [{"params": [p for n, p in model.named_parameters() if not plain(n)], "weight_decay": 0.01},
            {"params": [p for n, p in model.named_parameters() if plain(n)], "weight_decay": 0.0}]


def steps(folder, batches):
    model = load(folder, torch.float32)
    data = list(read_batches(batches))
    optimizer = torch.optim.AdamW(groups(model), lr=5e-5, fused=True)
    schedule = get_linear_schedule_with_warmup(optimizer, -(-len(data) // 10), len(data))
    losses, norms = [], []
    for inputs, labels in data:
        loss = torch.nn.functional.cross_entropy(model(**inputs).logits, labels)
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).item())
        losses.append(loss.item())
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return {"loss": torch.tensor(losses), "norm": torch.tensor(norms)}


def main():
    what, folder, batches, out = sys.argv[1:]
    save_file({k: v.contiguous() for k, v in {"gradients": gradients, "steps": steps}[what](folder, batches).items()}, out)


if __name__ == "__main__":
    main()
