"""The benchmark's other side: PyTorch and transformers, as well as their users can set them.

    python peer.py FOLDER BATCHES.safetensors WORK DTYPE ATTENTION THREADS STEPS ROUNDS

FOLDER is a checkpoint with its head, BATCHES holds the sequences of all batches in their order. Batches are padded to
their longest sequence; tensors are made before the clock starts. Training: AdamW (fused), linear warm-up and
decay, clipping at global norm 1, dropout as the checkpoint says. bf16 is autocast. The protocol is in bench.h.
"""
import resource
import sys
import time

import numpy as np
import torch
from safetensors.numpy import load_file
import transformers
from transformers import (AutoModelForQuestionAnswering, AutoModelForSequenceClassification,
                          get_linear_schedule_with_warmup, logging)


def read_batches(path, evaluation):
    """Padded batches. For evaluation the examples are sorted by length first."""
    d = load_file(path)
    ends = np.cumsum(d["length"])
    begins = ends - d["length"]
    order = np.arange(len(ends))
    if evaluation:
        order = np.argsort(d["length"], kind="stable")
    size = int(d["batch"][0])
    for at in range(0, len(order), size):
        rows = order[at:at + size]
        longest = int(d["length"][rows].max())
        ids = np.zeros((len(rows), longest), np.int64)
        types, mask = np.zeros_like(ids), np.zeros_like(ids)
        for k, i in enumerate(rows):
            n = d["length"][i]
            ids[k, :n] = d["id"][begins[i]:ends[i]]
            types[k, :n] = d["type"][begins[i]:ends[i]]
            mask[k, :n] = 1
        batch = {"input_ids": ids, "token_type_ids": types}
        if not mask.all():
            batch["attention_mask"] = mask
        if d["start"][0] >= 0:
            batch |= {"start_positions": d["start"][rows].astype(np.int64), "end_positions": d["end"][rows].astype(np.int64)}
        else:
            batch["labels"] = d["label"][rows].astype(np.int64)
        yield {k: torch.from_numpy(v) for k, v in batch.items()}


def parameter_groups(model):
    rest = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    plain = [p for n, p in rest if n.endswith("bias") or "LayerNorm" in n]
    decayed = [p for n, p in rest if not (n.endswith("bias") or "LayerNorm" in n)]
    return [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}]


class Trainer:
    def __init__(self, model, batches, bf16, total):
        self.model, self.batches, self.bf16 = model.train(), iter(batches), bf16
        self.optimizer = torch.optim.AdamW(parameter_groups(model), lr=5e-5, fused=True)
        self.schedule = get_linear_schedule_with_warmup(self.optimizer, -(-total // 10), total)

    def run(self, steps):
        losses = 0.0
        for _ in range(steps):
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16):
                loss = self.model(**next(self.batches)).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.schedule.step()
            self.optimizer.zero_grad(set_to_none=True)
            losses += loss.item()
        return losses / steps


class Evaluator:
    def __init__(self, model, batches, bf16):
        self.model, self.batches, self.bf16 = model.eval(), batches, bf16

    @torch.inference_mode()
    def run(self, _):
        loss = count = 0
        for batch in self.batches:
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16):
                n = len(batch["input_ids"])
                loss += self.model(**batch).loss.item() * n
                count += n
        return loss / count


class Ablator(Evaluator):
    """Evaluates the model without each of its heads: the value is the accuracy lost, summed over the heads."""

    def __init__(self, model, batches, bf16):
        super().__init__(model, batches, bf16)
        self.mask = None
        for i, layer in enumerate(model.bert.encoder.layer):
            layer.attention.output.dense.register_forward_pre_hook(lambda _, args, i=i: self.gate(i, args[0]))

    def gate(self, i, context):
        if self.mask is None or self.mask[0] != i:
            return None
        width = context.shape[-1] // self.model.config.num_attention_heads
        context[..., self.mask[1] * width:(self.mask[1] + 1) * width] = 0
        return (context,)

    @torch.inference_mode()
    def accuracy(self, mask):
        self.mask, right, count = mask, 0, 0
        for batch in self.batches:
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16):
                logits = self.model(**{k: v for k, v in batch.items() if k != "labels"}).logits
            right += (logits.argmax(1) == batch["labels"]).sum().item()
            count += len(logits)
        return right / count

    def run(self, _):
        whole, cfg = self.accuracy(None), self.model.config
        return sum(whole - self.accuracy((i, h)) for i in range(cfg.num_hidden_layers) for h in range(cfg.num_attention_heads))


def cpu_seconds():
    u = resource.getrusage(resource.RUSAGE_SELF)
    return u.ru_utime + u.ru_stime


def main():
    folder, batches, work, dtype, attention, threads, steps, rounds = sys.argv[1:]
    steps, rounds = int(steps), int(rounds)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(int(threads))
    torch.set_flush_denormal(True)
    torch.manual_seed(1)
    batches = list(read_batches(batches, work != "train"))
    kind = AutoModelForQuestionAnswering if "start_positions" in batches[0] else AutoModelForSequenceClassification
    model = kind.from_pretrained(folder, attn_implementation=attention)
    bf16 = dtype == "bf16"
    if work == "train":
        side = Trainer(model, batches, bf16, steps * (rounds + 1))
    else:
        side = {"eval": Evaluator, "ablate": Ablator}[work](model, batches, bf16)
    if work == "ablate":
        side.accuracy(None)  # warm enough
    else:
        side.run(steps)
    print(f"about PyTorch {torch.__version__}, transformers {transformers.__version__}")
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() != "go":
            break
        began, cpu = time.perf_counter(), cpu_seconds()
        value = side.run(steps)
        print(f"round {time.perf_counter() - began:.6f} {cpu_seconds() - cpu:.6f} {value:.9g}", flush=True)
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, flush=True)


main()
