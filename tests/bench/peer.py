"""The benchmark's other side: PyTorch and transformers, as well as their users can set them.

    python peer.py FOLDER BATCHES.safetensors WORK DTYPE SETTING THREADS STEPS ROUNDS TEACHER

FOLDER is a checkpoint with its head, TEACHER that of distillation's teacher, BATCHES holds the sequences of all batches
in their order. Batches are padded to their longest sequence; tensors are made before the clock starts. SETTING:

    eager, sdpa     attention of transformers
    compile         sdpa under torch.compile, with dynamic shapes
    onnx            evaluation by ONNX Runtime, all its graph optimisations

Training: AdamW (fused), linear warm-up and decay, clipping at global norm 1, dropout as the checkpoint says. bf16 is
autocast. The protocol is in bench.h; what a setting cannot do is said ("cannot REASON").
"""
import os
import resource
import signal
import sys
import time

import numpy as np
import torch
from safetensors.numpy import load_file
import transformers
from transformers import (AutoConfig, AutoModelForCausalLM, AutoModelForQuestionAnswering,
                          AutoModelForSequenceClassification, get_linear_schedule_with_warmup, logging)

PATIENCE = 400  # seconds that a setting may take to be ready


def read_batches(path, evaluation, kind):
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
        batch = {"input_ids": ids}
        if not mask.all():
            batch["attention_mask"] = mask
        if kind == "text":
            batch["labels"] = ids
        elif kind == "span":
            batch |= {"token_type_ids": types, "start_positions": d["start"][rows].astype(np.int64),
                      "end_positions": d["end"][rows].astype(np.int64)}
        else:
            batch |= {"token_type_ids": types, "labels": d["label"][rows].astype(np.int64)}
        yield {k: torch.from_numpy(v) for k, v in batch.items()}


def parameter_groups(model):
    rest = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    whole = [n.endswith("bias") or "LayerNorm" in n or ".ln_" in n for n, _ in rest]
    return [{"params": [p for (_, p), w in zip(rest, whole) if not w], "weight_decay": 0.01},
            {"params": [p for (_, p), w in zip(rest, whole) if w], "weight_decay": 0.0}]


class Trainer:
    def __init__(self, model, batches, bf16, total, compiled=False):
        self.model, self.batches, self.bf16 = model.train(), iter(batches), bf16
        self.optimizer = torch.optim.AdamW(parameter_groups(model), lr=5e-5, fused=True)
        self.schedule = get_linear_schedule_with_warmup(self.optimizer, -(-total // 10), total)
        self.forward = torch.compile(model, dynamic=True) if compiled else model

    def loss(self, batch):
        return self.forward(**batch).loss

    def run(self, steps):
        losses = 0.0
        for _ in range(steps):
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16):
                loss = self.loss(next(self.batches))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.schedule.step()
            self.optimizer.zero_grad(set_to_none=True)
            losses += loss.item()
        return losses / steps


class Distiller(Trainer):
    """Half the labels, half a teacher's at temperature 2 (Hinton, Vinyals & Dean 2015). A cached teacher spoke before."""

    def __init__(self, model, teacher, batches, bf16, total, cached):
        batches = list(batches)
        super().__init__(model, batches, bf16, total)
        self.teacher = teacher.eval()
        if cached:
            for batch in batches:
                batch["said"] = self.ask(batch)

    @torch.inference_mode()
    def ask(self, batch):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16):
            return self.teacher(**{k: v for k, v in batch.items() if k not in ("labels", "said")}).logits.float()

    def loss(self, batch):
        said = batch["said"] if "said" in batch else self.ask(batch)
        out = self.model(**{k: v for k, v in batch.items() if k != "said"})
        own = torch.log_softmax(out.logits.float() / 2, 1)
        soft = torch.nn.functional.kl_div(own, torch.softmax(said.clone() / 2, 1), reduction="batchmean") * 4
        return 0.5 * out.loss + 0.5 * soft


class Evaluator:
    def __init__(self, model, batches, bf16, compiled=False):
        self.model, self.batches, self.bf16 = model.eval(), batches, bf16
        self.forward = torch.compile(model, dynamic=True) if compiled else model

    @torch.inference_mode()
    def run(self, _):
        loss = count = 0
        for batch in self.batches:
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16):
                n = len(batch["input_ids"])
                loss += self.forward(**batch).loss.item() * n
                count += n
        return loss / count


class OnnxEvaluator:
    """The same by ONNX Runtime: exported once, attention and norms fused by its optimiser where it can."""

    def __init__(self, model, batches, folder, threads):
        import onnxruntime
        path = os.path.join(folder, "model.onnx")
        self.names = ["input_ids", "attention_mask", "token_type_ids"]
        example = tuple(torch.ones(2, 8, dtype=torch.int64) for _ in self.names)
        axes = {n: {0: "batch", 1: "token"} for n in self.names}
        import warnings
        warnings.filterwarnings("ignore")
        torch.onnx.export(model.eval(), example, path, input_names=self.names, output_names=["logits"], dynamic_axes=axes,
                          dynamo=False, opset_version=17)
        self.about = f"ONNX Runtime {onnxruntime.__version__}"
        path = self.fuse(path, model.config)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.batches = [({n: self.given(b, n) for n in self.names}, b["labels"]) for b in batches]

    def fuse(self, path, config):
        try:
            from onnxruntime.transformers import optimizer
            fused = optimizer.optimize_model(path, "bert", num_heads=config.num_attention_heads, hidden_size=config.hidden_size)
            found = {k: n for k, n in fused.get_fused_operator_statistics().items() if n}
            fused.save_model_to_file(path + ".fused")
            self.about += f", {found.get('Attention', 0) + found.get('MultiHeadAttention', 0)} attentions fused"
            return path + ".fused"
        except Exception as e:  # its optimiser is an extra: without it the session's own passes remain
            self.about += f", not fused ({type(e).__name__})"
            return path

    def given(self, batch, name):
        return (batch[name] if name in batch else torch.ones_like(batch["input_ids"])).numpy()

    def run(self, _):
        loss = count = 0
        for feed, labels in self.batches:
            logits = torch.from_numpy(self.session.run(["logits"], feed)[0])
            loss += torch.nn.functional.cross_entropy(logits, labels, reduction="sum").item()
            count += len(labels)
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

    def warm_up(self):
        self.accuracy(None)

    def run(self, _):
        whole, cfg = self.accuracy(None), self.model.config
        return sum(whole - self.accuracy((i, h)) for i in range(cfg.num_hidden_layers) for h in range(cfg.num_attention_heads))


def cpu_seconds():
    u = resource.getrusage(resource.RUSAGE_SELF)
    return u.ru_utime + u.ru_stime


def peak_bytes():
    """Of this program alone: ru_maxrss also counts what its parent had when it began."""
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM"))


KINDS = {"text": AutoModelForCausalLM, "span": AutoModelForQuestionAnswering, "classes": AutoModelForSequenceClassification}


def kind_of(folder, path):
    if AutoConfig.from_pretrained(folder).model_type == "gpt2":
        return "text"
    return "span" if load_file(path)["start"][0] >= 0 else "classes"


def make_side(folder, path, work, dtype, setting, threads, total, teacher):
    kind = kind_of(folder, path)
    batches = list(read_batches(path, work in ("eval", "ablate"), kind))
    attention = setting if setting in ("eager", "sdpa") else "sdpa"
    model = KINDS[kind].from_pretrained(folder, attn_implementation=attention)
    bf16, compiled = dtype == "bf16", setting == "compile"
    if compiled:  # one form of input, or it compiles once more
        for batch in batches:
            batch.setdefault("attention_mask", torch.ones_like(batch["input_ids"]))
    if setting == "onnx":
        return OnnxEvaluator(model, batches, folder, threads)
    if work in ("kd", "kd-cached"):
        other = KINDS[kind].from_pretrained(teacher, attn_implementation=attention)
        return Distiller(model, other, batches, bf16, total, work == "kd-cached")
    if work == "train":
        return Trainer(model, batches, bf16, total, compiled)
    return {"eval": Evaluator, "ablate": Ablator}[work](model, batches, bf16, *([compiled] if compiled else []))


def begin():
    folder, path, work, dtype, setting, threads, steps, rounds, teacher = sys.argv[1:]
    steps, rounds, threads = int(steps), int(rounds), int(threads)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(1)
    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError(f"not ready after {PATIENCE} s")))
    signal.alarm(PATIENCE)
    side = make_side(folder, path, work, dtype, setting, threads, steps * (rounds + 2), teacher)
    side.warm_up() if work == "ablate" else side.run(steps)
    signal.alarm(0)
    return side, steps


def main():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    try:
        side, steps = begin()
    except Exception as e:
        why = " ".join(str(e).replace("|", " ").split())
        if "not ready after" in why:  # libraries wrap it in errors of their own
            why = f"not ready after {PATIENCE} s"
        print("cannot", type(e).__name__ + ":", why[:150], file=answers, flush=True)
        return
    about = getattr(side, "about", f"PyTorch {torch.__version__}, transformers {transformers.__version__}")
    print("about", about, file=answers)
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        if line.strip() != "go":
            break
        began, cpu = time.perf_counter(), cpu_seconds()
        value = side.run(steps)
        print(f"round {time.perf_counter() - began:.6f} {cpu_seconds() - cpu:.6f} {value:.9g}", file=answers, flush=True)
    print("peak", peak_bytes(), file=answers, flush=True)


main()
