"""Language models beside an independent evaluation in float64: the model of llama2.c's file,
its tokenizer, the windows, lm-eval's scoring of choices are all written anew here; beams are
those of transformers.  lm.py make DIR SHARED | check DIR SHARED STORE | beams DIR RETORT"""
import glob, json, math, os, struct, subprocess, sys
import numpy as np
import torch

SETS = {"arc-easy": "dev", "boolq": "dev", "hellaswag": "dev", "openbookqa": "dev", "piqa": "dev",
        "race-middle": "dev", "winogrande": "dev"}
FILES = {"arc-easy": "arc/ARC-Easy-Dev.jsonl", "boolq": "boolq/val.jsonl", "hellaswag": "hellaswag/val.jsonl",
         "openbookqa": "openbookqa/dev.tsv", "piqa": "piqa/valid.jsonl", "race-middle": "race-middle/validation.jsonl",
         "winogrande": "winogrande/dev.jsonl"}
N = 6
WINDOWS = {"plain": (64, 0, "all"), "strided": (64, 24, "all"), "usual": (64, 64, "inside"), "usual-strided": (64, 20, "inside")}


class Llama:
    def __init__(self, path):
        raw = open(path, "rb").read()
        d, f, self.layers, self.heads, self.kv, vocab, self.length = struct.unpack("7i", raw[:28])
        w = torch.from_numpy(np.frombuffer(raw, np.float32, offset=28).astype(np.float64))
        vocab, hd, at = abs(vocab), d // self.heads, 0
        def take(*shape):
            nonlocal at
            n = math.prod(shape)
            at += n
            return w[at - n:at].reshape(shape)
        n, k = self.layers, self.kv * hd
        self.emb, self.n1 = take(vocab, d), take(n, d)
        self.q, self.k, self.v, self.o = take(n, d, d), take(n, k, d), take(n, k, d), take(n, d, d)
        self.n2 = take(n, d)
        self.w1, self.w2, self.w3 = take(n, f, d), take(n, d, f), take(n, f, d)
        self.nf, self.hd = take(d), hd

    def logp(self, ids):
        x, t = self.emb[torch.tensor(ids)], len(ids)
        norm = lambda x, g: x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-5) * g
        angle = torch.arange(t, dtype=torch.float64)[:, None] * 10000.0 ** (-torch.arange(0, self.hd, 2, dtype=torch.float64) / self.hd)
        c, s = angle.cos()[:, None], angle.sin()[:, None]
        def turn(y):  # pairs of neighbours, as llama2.c has them
            a, b = y[..., 0::2], y[..., 1::2]
            return torch.stack((a * c - b * s, a * s + b * c), -1).flatten(-2)
        mask = torch.full((t, t), -math.inf, dtype=torch.float64).triu(1)
        for l in range(self.layers):
            h = norm(x, self.n1[l])
            q = turn((h @ self.q[l].T).view(t, self.heads, self.hd))
            k = turn((h @ self.k[l].T).view(t, self.kv, self.hd)).repeat_interleave(self.heads // self.kv, 1)
            v = (h @ self.v[l].T).view(t, self.kv, self.hd).repeat_interleave(self.heads // self.kv, 1)
            p = (torch.einsum("ihd,jhd->hij", q, k) / math.sqrt(self.hd) + mask).softmax(-1)
            x = x + torch.einsum("hij,jhd->ihd", p, v).reshape(t, -1) @ self.o[l].T
            h = norm(x, self.n2[l])
            g = h @ self.w1[l].T
            x = x + (g * torch.sigmoid(g) * (h @ self.w3[l].T)) @ self.w2[l].T
        return (norm(x, self.nf) @ self.emb.T).log_softmax(-1)


class Tokens:
    def __init__(self, path, n):
        raw, at, self.piece, self.score = open(path, "rb").read(), 4, [], []
        for _ in range(n):
            score, size = struct.unpack_from("fi", raw, at)
            self.piece.append(raw[at + 8:at + 8 + size]); self.score.append(score)
            at += 8 + size
        self.id = {}
        for i, p in enumerate(self.piece):
            self.id.setdefault(p, i)

    def encode(self, text):
        if not text:
            return []
        ids = []
        for ch in " " + text:
            b = ch.encode()
            ids += [self.id[b]] if b in self.id else [x + 3 for x in b]
        while True:
            best, at = -1e10, -1
            for i in range(len(ids) - 1):
                j = self.id.get(self.piece[ids[i]] + self.piece[ids[i + 1]])
                if j is not None and self.score[j] > best:
                    best, at, new = self.score[j], i, j
            if at < 0:
                return ids
            ids[at:at + 2] = [new]


def texts(shared):
    raw = open(shared + "/data/lm/tinystories/sample.txt", encoding="utf-8").read()
    return [t.strip() for t in raw.split("<|endoftext|>")][:4]


def make(dir, shared):
    os.makedirs(dir + "/data", exist_ok=True)
    open(dir + "/text.txt", "w", encoding="utf-8").write("\n---\n".join(texts(shared)))
    for name, file in FILES.items():
        to = dir + "/data/" + file
        os.makedirs(os.path.dirname(to), exist_ok=True)
        lines = open(shared + "/data/choice/" + file, encoding="utf-8").readlines()
        open(to, "w", encoding="utf-8").writelines(lines[:N + file.endswith("tsv")])
    open(dir + "/data/piqa/valid-labels.lst", "w").writelines(open(shared + "/data/choice/piqa/valid-labels.lst").readlines()[:N])
    model = shared + "/models/stories260k/stories260K.bin"
    stages = {"c-" + k: {"do": "evaluate", "model": model, "task": "choice/" + k, "max_len": 512} for k in SETS}
    for k, (n, step, how) in WINDOWS.items():
        stages["w-" + k] = {"do": "evaluate", "model": model, "task": "my/text", "max_len": n, "stride": step, "windows": how}
    json.dump({"retort": 1, "name": "lm", "tasks": {"my/text": {"kind": "text", "separator": "---", "files": {"dev": "text.txt"}}},
               "stages": stages}, open(dir + "/lm.json", "w"))


def questions(name, path):
    for line in open(path, encoding="utf-8").read().split("\n"):
        if not line or line.startswith("ID\t"):
            continue
        if name == "openbookqa":
            import re
            f = line.split("\t")
            yield [f[1]] * 4, [c.strip() for c in re.split(r"\([A-D]\) ", f[2])[1:]]
            continue
        d = json.loads(line)
        if name == "arc-easy":
            c = [x["text"] for x in d["question"]["choices"]]
            yield ["Question: " + d["question"]["stem"] + "\nAnswer:"] * len(c), c
        elif name == "boolq":
            yield [d["passage"] + "\nQuestion: " + d["question"] + "?\nAnswer:"] * 2, ["no", "yes"]
        elif name == "hellaswag":
            yield [d["ctx"]] * 4, d["endings"]
        elif name == "piqa":
            yield ["Question: " + d["goal"] + "\nAnswer:"] * 2, [d["sol1"], d["sol2"]]
        elif name == "race-middle":
            c = d["options"]
            yield ["Article: " + d["article"] + "\n\nQuestion: " + d["question"] + "\nAnswer:"] * len(c), c
        else:
            a, b = d["sentence"].split("_", 1)
            yield [a + d["option1"], a + d["option2"]], [b.strip()] * 2


def likelihood(m, tok, prompt, ending):  # lm-eval's _encode_pair and _loglikelihood_tokens
    ending = " " + ending
    spaces = len(prompt) - len(prompt.rstrip())
    if spaces:
        prompt, ending = prompt[:-spaces], prompt[-spaces:] + ending
    whole, head = tok.encode(prompt + ending), tok.encode(prompt)
    tail = whole[len(head):]
    ids = ([1] if not head else head) + tail
    inputs = ids[-(m.length + 1):][:-1]
    lp = m.logp(inputs)[-len(tail):]
    return sum(lp[i, t].item() for i, t in enumerate(tail))


def windows(m, ids, n, step, how):
    """sum of nats, tokens; and the figure of Hugging Face's loop"""
    step = step or n
    if how == "all":
        told, total, count = 1, 0.0, 0
        for at in range(0, len(ids), step):
            lp = m.logp(ids[at:at + n])
            for t in range(max(told, at + 1), min(at + n + 1, len(ids))):
                total -= lp[t - 1 - at, ids[t]].item(); count += 1
            told = max(told, at + n + 1)
            if told >= len(ids):
                return total, count, None
    prev, total, count, weighted, weights = 0, 0.0, 0, 0.0, 0
    for begin in range(0, len(ids), step):
        end = min(begin + n, len(ids))
        lp, first = m.logp(ids[begin:end]), max(prev, begin + 1)
        nats = [-lp[t - 1 - begin, ids[t]].item() for t in range(first, end)]
        valid = end - prev
        if nats:
            total += sum(nats); count += len(nats)
            weighted += sum(nats) / len(nats) * (valid - 1); weights += valid - 1
        prev = end
        if end == len(ids):
            break
    return total, count, math.exp(weighted / weights)


def close(what, ours, theirs, tol=1e-4):
    if not abs(ours - theirs) <= tol * abs(theirs):
        sys.exit(f"{what}: {ours!r} against {theirs!r}")


def check(dir, shared, store):
    import h5py
    m = Llama(shared + "/models/stories260k/stories260K.bin")
    tok = Tokens(shared + "/models/stories260k/tok512.bin", 512)
    docs = texts(shared)
    ids = [i for d in docs for i in [1] + tok.encode(d)]
    words, size = sum(len(d.split()) for d in docs), sum(len(d.encode()) for d in docs)
    seen = set()
    for path in glob.glob(store + "/*/*/run.h5"):
        f = h5py.File(path)
        stage = json.loads(f["/resolved"][()])["stage"] if "stage" in json.loads(f["/resolved"][()]) else None
        o = json.loads(f["/resolved"][()])["options"]
        ev = f["/eval"]
        family = list(ev)[0]
        name = list(ev[family])[0]
        get = lambda k: f[f"/metrics/eval/{family}/{name}/dev/{k}/value"][-1]
        if family == "my":
            key = (o["max_len"], o.get("stride", 0), o.get("windows", "all"))
            total, count, hf = windows(m, ids, *key)
            close(f"{key} perplexity", get("perplexity"), math.exp(total / count))
            if key[2] == "all":
                close("words", get("word_perplexity"), math.exp(total / words), 1e-3)
                close("bytes", get("byte_perplexity"), math.exp(total / size))
            else:
                close(f"{key} hf_perplexity", get("hf_perplexity"), hf)
            seen.add(key)
        else:
            logits = ev[family][name]["dev"]["logits"][()]
            right = norm = n = 0
            for i, (prompts, endings) in enumerate(questions(name, dir + "/data/" + FILES[name])):
                want = [likelihood(m, tok, p, e) for p, e in zip(prompts, endings)]
                for c, x in enumerate(want):
                    close(f"{name} {i} {c}", float(logits[i, c]), x)
                label = int(ev[family][name]["dev"]["label"][i])
                right += int(np.argmax(want)) == label
                norm += int(np.argmax([x / len(e) for x, e in zip(want, endings)])) == label
                n += 1
            close(name, get("accuracy") + 1, right / n + 1)
            if name not in ("boolq", "winogrande"):
                close(name + " norm", get("accuracy_norm") + 1, norm / n + 1)
            seen.add(name)
    if len(seen) != len(SETS) + len(WINDOWS):
        sys.exit(f"only {sorted(map(str, seen))} were there")


def beams(dir, retort):
    from transformers import LlamaConfig, LlamaForCausalLM
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + [chr(97 + i) for i in range(26)]
    for seed in range(4):
        torch.manual_seed(seed)
        c = LlamaConfig(vocab_size=len(words), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
                        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64, initializer_range=0.5,
                        bos_token_id=None, eos_token_id=9, pad_token_id=0, tie_word_embeddings=False)
        model = LlamaForCausalLM(c).eval()
        to = f"{dir}/tiny{seed}"
        model.save_pretrained(to)
        open(to + "/vocab.txt", "w").write("\n".join(words) + "\n")
        for k, lp in ((1, 1.0), (3, 1.0), (4, 0.6)):
            with torch.no_grad():
                out = model.generate(torch.tensor([[5, 6, 7]]), max_new_tokens=12, num_beams=k, do_sample=False,
                                     length_penalty=lp, early_stopping=False)[0].tolist()
            want = " ".join(words[i] for i in out if (i == 1 or i >= 5) and i != 9)
            got = subprocess.run([retort, "generate", to, "-p", "a b c", "-n", "12", "--beams", str(k), "--length-penalty", str(lp)],
                                 capture_output=True, text=True)
            if got.stdout.strip() != want:
                sys.exit(f"seed {seed}, {k} beams: {got.stdout.strip()!r} {got.stderr} against {want!r}")


torch.set_num_threads(1)
{"make": make, "check": check, "beams": beams}[sys.argv[1]](*sys.argv[2:])
