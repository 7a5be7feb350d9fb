"""Steps of training made again by transformers in float64.

    steps.py make DIR     writes DIR/spec.json, the texts and questions that it speaks of
    steps.py check DIR    DIR/runs.json is `retort ls --json`, DIR/runs the store, DIR/<stage> exported checkpoints

A step's weights, tokens and gradients are those that "record" keeps; weights of the first step, of the teacher and all
shapes are those of the exported folders. Losses and gradients of all parameters agree to 1e-5 of their norms.
"""
import glob
import hashlib
import json
import os
import random
import sys

TOLERANCE = 1e-5
WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] now then here there soon often today quite once just still ever king nurse pilot".split()
CLS, SEP, MASK = 2, 3, 4
LEN = 24
ARMS = [(scaling, normalize, states, alpha, beta, layers)
        for scaling in ("code", "published", "hinton") for normalize in (True, False)
        for states, alpha, beta, layers in (("cls", 0.7, 100, "skip"), ("tokens", 0.3, 10, "last"))]
ARMS += [("code", True, "cls", 0, 0, "skip"), ("code", True, "cls", 1, 0, "skip"), ("hinton", True, "cls", 0, 50, "every")]
ARCHS = ["gpt2", "gpt_neo", "llama", "bert"]


def make(folder):
    draw = random.Random(3)
    words = lambda n: " ".join(draw.choice(WORDS[5:]) for _ in range(n))
    os.makedirs(folder + "/words", exist_ok=True)
    os.makedirs(folder + "/data/openbookqa", exist_ok=True)
    open(folder + "/words/vocab.txt", "w").write("\n".join(WORDS) + "\n")
    open(folder + "/text.txt", "w").write("\n---\n".join(words(draw.randint(5, 40)) for _ in range(12)) + "\n")
    with open(folder + "/data/openbookqa/train.tsv", "w") as f:
        f.write("ID\tQuestion Stem\tChoices\tComplete Question\tAnswer Key\n")
        for i in range(12):
            choices = " ".join("(%s) %s" % (c, words(1 + draw.randrange(4))) for c in "ABCD")
            f.write("q%d\t%s\t%s\t-\t%s\n" % (i, words(6), choices, draw.choice("ABCD")))
    still = {"dropout": 0, "attention_dropout": 0, "max_steps": 2, "lr": 0.01}
    task = {"task": "synth/agreement", "max_len": 32}
    stages = {
        "deep": {"do": "init", "task": "synth/agreement", "layers": 4, "width": 32, "heads": 2, "ffn": 64, "range": 0.3},
        "teacher": {"do": "finetune", "model": {"from": "deep"}, "batch": 8, **task, **still},
        "student": {"do": "distill/student", "model": {"from": "deep"}, "layers": 2},
        "book": {"do": "finetune", "model": {"from": "deep"}, "task": "choice/openbookqa", "batch": 5, "max_len": 16, **still},
    }
    for i, (scaling, normalize, states, alpha, beta, layers) in enumerate(ARMS):
        stages["arm%d" % i] = {"do": "distill/pkd", "model": {"from": "student"}, "teacher": {"from": "teacher"}, "batch": 6,
                               "scaling": scaling, "normalize": normalize, "states": states, "alpha": alpha, "beta": beta,
                               "layers": layers, "temperature": 5, **task, **still}
    for arch in ARCHS:
        stages[arch] = {"do": "pretrain", "task": "my/text", "tokenizer": "words", "arch": arch, "layers": 3, "width": 32,
                        "heads": 4, "kv_heads": 2, "ffn": 48, "positions": 32, "window": 5, "max_len": LEN, "batch": 4,
                        "range": 0.2, "scaled_residual": arch == "gpt2", **still}
    spec = {"retort": 1, "name": "steps", "seeds": [1], "record": {"weights": 1, "gradients": 1, "activations": {"every": 1, "examples": "all"}},
            "tasks": {"my/text": {"kind": "text", "separator": "---", "files": {"train": "text.txt"}}}, "stages": stages}
    json.dump(spec, open(folder + "/spec.json", "w"), indent=1)


class Stream:
    """PCG64 keyed as retort/rng.h says."""

    def __init__(self, purpose):
        import numpy as np
        digest = hashlib.sha256((0).to_bytes(8, "little") + purpose.encode()).digest()
        self.bits = np.random.PCG64()
        state = self.bits.state
        state["state"] = {"state": int.from_bytes(digest[:16], "big"), "inc": int.from_bytes(digest[16:], "big") | 1}
        self.bits.state = state

    def next(self):
        return int(self.bits.random_raw())

    def uniform(self):
        return (self.next() >> 11) * 2.0 ** -53

    def below(self, n):  # the rare rejection is left out
        return self.next() * n >> 64


def contexts(folder, masked):
    """Tokens of each context and what is to be told of it, one for each token (-100: nothing)."""
    docs = [t.split() for t in open(folder + "/text.txt").read().split("---")]
    flow = [t for d in docs for t in [SEP if masked else CLS] + [WORDS.index(w) for w in d]]
    out = []
    if not masked:
        for at in range(0, len(flow) - 1, LEN):
            told = flow[at + 1:at + 1 + LEN]
            out.append((flow[at:at + len(told)], told))
        return out
    for k, at in enumerate(range(0, len(flow), LEN - 2)):
        ids = [CLS] + flow[at:at + LEN - 2] + [SEP]
        told, rng = [-100] * len(ids), Stream("mlm/my/text/train/%d/0" % k)

        def hide(i):
            u, other = rng.uniform(), rng.below(len(WORDS))
            told[i] = ids[i]
            ids[i] = MASK if u < 0.8 else other if u < 0.9 else ids[i]

        for i in range(1, len(ids) - 1):
            if rng.uniform() < 0.15 and ids[i] != SEP:
                hide(i)
        if all(t < 0 for t in told):  # at least one
            i = 1 + rng.below(len(ids) - 2)
            hide(i if ids[i] != SEP else i - 1 if i > 1 else i + 1)
        out.append((ids, told))
    return out


def check(folder):
    import h5py
    import numpy as np
    import torch
    import torch.nn.functional as F
    import transformers
    from transformers import AutoConfig, AutoTokenizer  # noqa: F401

    torch.set_num_threads(1)
    runs = {r["stage"]: r for r in json.load(open(folder + "/runs.json"))}
    worst = {}

    def same(what, got, want, least=0.0):
        got, want = torch.as_tensor(np.asarray(got)).double().reshape(-1), want.detach().double().reshape(-1)
        error = float((got - want).norm() / max(float(want.norm()), least, 1e-30))
        kind = what.split()[0]
        worst[kind] = max(worst.get(kind, 0), error)
        if not error < TOLERANCE:
            sys.exit(f"{what}: {error:.3g} of the norm apart")

    def open_run(stage):
        return h5py.File(glob.glob("%s/runs/*/%s*/run.h5" % (folder, runs[stage]["id"][:10]))[0])

    def merge(state, arch):
        """Recorded names as transformers has them: GPT-2 keeps three maps in one, all turned."""
        if arch != "gpt2":
            return state
        out = {}
        for name, v in state.items():
            if ".c_attn." in name:
                base, end = name.split(".c_attn.")[0], name.rsplit(".", 1)[1]
                parts = [state["%s.c_attn.%s.%s" % (base, p, end)] for p in ("query", "key", "value")]
                v = torch.cat(parts, 0)
                name = "%s.c_attn.%s" % (base, end)
            if v.dim() == 2 and ".h." in name:
                v = v.T
            out[name] = v
        return out

    def recorded(f, step, what, arch=None):
        return merge({k: torch.tensor(v[()]).double() for k, v in f["steps/%d/%s" % (step, what)].items()}, arch)

    def load(cls, where, f, step, arch=None):
        """The model of an exported folder's shape, with the weights as the step starts from them."""
        config = AutoConfig.from_pretrained(where)
        config.problem_type = None
        if cls is transformers.BertForSequenceClassification:
            config.num_labels = 2
        model = cls._from_config(config, attn_implementation="eager").double().eval()
        weights = recorded(f, step, "weights", arch)
        missing, unknown = model.load_state_dict(weights, strict=False)
        tied = {"lm_head.weight", "cls.predictions.decoder.weight", "cls.predictions.decoder.bias", "cls.predictions.bias"}
        missing = [m for m in missing if m not in tied and "position_ids" not in m and "attn.bias" not in m and "masked_bias" not in m
                   and not m.endswith("attention.bias")]
        if missing or unknown:
            sys.exit(f"{where}: missing {missing}, unknown {unknown}")
        model.tie_weights()
        return model

    def gradients(what, model, f, step, arch=None):
        got = recorded(f, step, "gradients", arch)
        mine = {n: p.grad for n, p in model.named_parameters()}
        mine = {n: mine[n] if mine[n] is not None else torch.zeros_like(v) for n, v in got.items()}
        flat = lambda d: torch.cat([d[n].reshape(-1) for n in got])
        same(f"{what} step {step} gradient", flat(got), flat(mine))
        whole = float(flat(mine).norm())  # a parameter that hardly matters (a key's bias) is measured by all of them
        for name, v in got.items():
            same(f"{what} step {step} {name}", v, mine[name], 0.01 * whole)

    def rows(f, step):
        b = f["steps/%d/batch" % step]
        offset, token, kind = b["offset"][()], b["token"][()], b["type"][()]
        n = max(offset[1:] - offset[:-1])
        ids = torch.zeros(len(offset) - 1, n, dtype=torch.long)
        types, mask = torch.zeros_like(ids), torch.zeros_like(ids)
        for i in range(len(offset) - 1):
            k = offset[i + 1] - offset[i]
            ids[i, :k] = torch.tensor(token[offset[i]:offset[i + 1]])
            types[i, :k] = torch.tensor(kind[offset[i]:offset[i + 1]])
            mask[i, :k] = 1
        return {"input_ids": ids, "token_type_ids": types, "attention_mask": mask}, b["example"][()]

    def metric(f, name, step):
        m = f["metrics/train/" + name]
        return m["value"][()][list(m["step"][()]).index(step)]

    def distilled():
        teacher = transformers.AutoModelForSequenceClassification.from_pretrained(folder + "/teacher", attn_implementation="eager").double().eval()
        start = transformers.AutoModel.from_pretrained(folder + "/student").double().state_dict()
        words = open(folder + "/student/vocab.txt").read().split("\n")
        plural = {words.index(w): i for i, group in enumerate(("king nurse pilot child", "kings nurses pilots children")) for w in group.split()}
        for i, (scaling, normalize, states, alpha, beta, layers) in enumerate(ARMS):
            f = open_run("arm%d" % i)
            for step in (0, 1):
                model = load(transformers.BertForSequenceClassification, folder + "/student", f, step)
                if step == 0:
                    for name, v in model.bert.state_dict().items():
                        assert torch.equal(v, start[name]), name
                x, _ = rows(f, step)
                label = torch.tensor([next(plural[t] for t in r.tolist() if t in plural) for r in x["input_ids"]])
                with torch.no_grad():
                    t = teacher(**x, output_hidden_states=True)
                s = model(**x, output_hidden_states=True)
                T, n, c = 5.0, len(label), 2
                hard = F.cross_entropy(s.logits, label)
                p, log_q = F.softmax(t.logits / T, -1), F.log_softmax(s.logits / T, -1)
                kl = (p * (p.log() - log_q)).sum()
                soft = {"code": kl * T * T / (n * c), "hinton": kl * T * T / n, "published": -(p * log_q).sum()}[scaling]
                pairs = {"skip": [2], "last": [3], "every": [2, 4]}[layers]
                at = x["attention_mask"].bool() if states == "tokens" else torch.zeros_like(x["attention_mask"]).index_fill_(1, torch.tensor([0]), 1).bool()
                total, count = 0, 0
                for j, k in enumerate(pairs):
                    a, b = s.hidden_states[j + 1][at], t.hidden_states[k][at]
                    if normalize:
                        a, b = a / a.norm(dim=-1, keepdim=True), b / b.norm(dim=-1, keepdim=True)
                    total, count = total + ((a - b) ** 2).sum(), count + a.numel()
                total = total if scaling == "published" else total / count
                loss = (1 - alpha) * hard + alpha * soft + beta * total
                loss.backward()
                same("distilled loss", metric(f, "loss", step), loss)
                for name, weight, value in (("hard", 1 - alpha, hard), ("soft", alpha, soft), ("states", beta, total)):
                    if weight:
                        same("distilled loss_" + name, metric(f, "loss_" + name, step), value)
                    elif "loss_" + name in f["metrics/train"]:
                        sys.exit("a term of weight 0 is recorded")
                gradients("distilled", model, f, step)

    def chosen():
        f = open_run("book")
        lines = open(folder + "/data/openbookqa/train.tsv").read().strip().split("\n")[1:]
        right = ["ABCD".index(line.split("\t")[4]) for line in lines]
        for step in (0, 1):
            model = load(transformers.BertForMultipleChoice, folder + "/book", f, step)
            x, example = rows(f, step)
            example = example[::4]
            x = {k: v.reshape(len(example), 4, -1) for k, v in x.items()}
            out = model(**x, labels=torch.tensor([right[e] for e in example]))
            out.loss.backward()
            same("choices loss", metric(f, "loss", step), out.loss)
            gradients("choices", model, f, step)

    def pretrained(arch):
        f, texts = open_run(arch), contexts(folder, arch == "bert")
        cls = {"gpt2": transformers.GPT2LMHeadModel, "gpt_neo": transformers.GPTNeoForCausalLM, "llama": transformers.LlamaForCausalLM,
               "bert": transformers.BertForMaskedLM}[arch]
        for step in (0, 1):
            model = load(cls, folder + "/" + arch, f, step, arch)
            x, example = rows(f, step)
            told = torch.full_like(x["input_ids"], -100)
            for i, e in enumerate(example):
                ids, want = texts[e]
                assert x["input_ids"][i, :len(ids)].tolist() == ids and int(x["attention_mask"][i].sum()) == len(ids), (arch, int(e))
                told[i, :len(want)] = torch.tensor(want)
            if arch != "bert":
                x.pop("token_type_ids")
            z = model(**x).logits
            loss = F.cross_entropy(z.reshape(-1, z.shape[-1]), told.reshape(-1), ignore_index=-100)
            loss.backward()
            same(arch + " loss", metric(f, "loss", step), loss)
            gradients(arch, model, f, step, arch)
        if arch == "gpt2":  # drawn with 0.2, and those that write to the residual stream with less
            drawn = recorded(f, 0, "weights", arch)
            spread = lambda end: float(torch.cat([v.reshape(-1) for n, v in drawn.items() if n.endswith(end)]).std())
            assert abs(spread("attn.c_attn.weight") / 0.2 - 1) < 0.05 and abs(spread("mlp.c_fc.weight") / 0.2 - 1) < 0.05
            for end in ("attn.c_proj.weight", "mlp.c_proj.weight"):
                assert abs(spread(end) * 6 ** 0.5 / 0.2 - 1) < 0.05, spread(end)

    distilled()
    chosen()
    for arch in ARCHS:
        pretrained(arch)
    for kind, error in worst.items():
        print("%s: at most %.1e of the norm apart" % (kind, error))


{"make": make, "check": check}[sys.argv[1]](sys.argv[2])
