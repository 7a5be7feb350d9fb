"""Log-likelihoods of choices as lm-evaluation-harness defines them, by transformers in float64, beside a store of runs.

    likelihoods.py make DIR DATA N    writes DIR/spec.json and DIR/data, the first N questions of each set (0: all)
    likelihoods.py check DIR          DIR/model: the exported model, DIR/runs: the store, DIR/runs.json: `retort ls --json`

The model is a drawn GPT-2 of one layer, over GPT-2's tokenizer cut to its first 1,024 tokens: that a question is long,
or a word is cut into many, is more of a test than a model that knows the answer. Likelihoods agree to 1e-5, and
predictions, except where two choices are as near as that; all lines that differ are printed.
"""
import glob
import json
import os
import re
import sys

SETS = {
    "arc-easy/dev": "arc/ARC-Easy-Dev.jsonl", "arc-easy/test": "arc/ARC-Easy-Test.jsonl",
    "arc-challenge/dev": "arc/ARC-Challenge-Dev.jsonl", "arc-challenge/test": "arc/ARC-Challenge-Test.jsonl",
    "openbookqa/dev": "openbookqa/dev.tsv", "openbookqa/test": "openbookqa/test.tsv", "piqa/dev": "piqa/valid.jsonl",
    "winogrande/dev": "winogrande/dev.jsonl", "boolq/dev": "boolq/val.jsonl", "race-middle/dev": "race-middle/validation.jsonl",
    "hellaswag/dev": "hellaswag/val.jsonl",
}
NO_NORM = ("boolq", "winogrande")  # tasks for which the harness gives acc alone
TOLERANCE = 1e-5
LENGTH = 1024


def asked():
    return os.environ["SETS"].split() if os.environ.get("SETS") else list(SETS)


def make(folder, data, n):
    for name in asked():
        for file in [SETS[name]] + (["piqa/valid-labels.lst"] if name == "piqa/dev" else []):
            to = "%s/data/%s" % (folder, file)
            os.makedirs(os.path.dirname(to), exist_ok=True)
            lines = open("%s/choice/%s" % (data, file), encoding="utf-8", newline="").read().split("\n")
            lines = lines[:-1] if lines[-1] == "" else lines
            with open(to, "w", encoding="utf-8", newline="") as f:
                f.writelines(line + "\n" for line in (lines[:int(n) + file.endswith("tsv")] if int(n) else lines))
    open(folder + "/text.txt", "w").write("A text that is not learned from. " * 20)
    stages = {"model": {"do": "pretrain", "task": "my/text", "tokenizer": data + "/tokenizers/gpt2", "vocab": 1024, "layers": 1, "width": 16,
                        "heads": 2, "positions": LENGTH, "range": 0.3, "max_steps": 1, "lr": 0, "max_len": 16, "batch": 1}}
    for name in asked():
        task, split = name.split("/")
        stages[name.replace("/", "-")] = {"do": "evaluate", "model": {"from": "model"}, "task": "choice/" + task, "split": split, "max_len": LENGTH}
    spec = {"retort": 1, "name": "likelihoods", "seeds": [1], "stages": stages,
            "tasks": {"my/text": {"kind": "text", "files": {"train": "text.txt"}}}}
    json.dump(spec, open(folder + "/spec.json", "w"), indent=1)


def questions(name, path):
    """Prompts and endings of each question, and which is right."""
    lines = [line for line in open(path, encoding="utf-8", newline="").read().split("\n") if line]
    labels = open(os.path.dirname(path) + "/valid-labels.lst").read().split() if name.startswith("piqa") else None
    for i, line in enumerate(lines[1:] if path.endswith("tsv") else lines):
        if name.startswith("openbookqa"):
            f = line.rstrip("\r").split("\t")
            yield [f[1]] * 4, [c.strip() for c in re.split(r"\([A-D]\) ", f[2])[1:]], "ABCD".index(f[-1][0])
            continue
        d = json.loads(line)
        if name.startswith("arc"):
            q = d["question"]
            yield (["Question: " + q["stem"] + "\nAnswer:"] * len(q["choices"]), [c["text"] for c in q["choices"]],
                   [c["label"] for c in q["choices"]].index(d["answerKey"]))
        elif name.startswith("boolq"):
            right = d["label"] if "label" in d else d["answer"]
            yield [d["passage"] + "\nQuestion: " + d["question"] + "?\nAnswer:"] * 2, ["no", "yes"], int(right)
        elif name.startswith("hellaswag"):
            yield [d["ctx"]] * 4, d["endings"], int(d["label"])
        elif name.startswith("piqa"):
            yield ["Question: " + d["goal"] + "\nAnswer:"] * 2, [d["sol1"], d["sol2"]], int(labels[i])
        elif name.startswith("race"):
            yield ["Article: " + d["article"] + "\n\nQuestion: " + d["question"] + "\nAnswer:"] * len(d["options"]), d["options"], "ABCD".index(d["answer"])
        else:
            before, after = d["sentence"].split("_", 1)
            yield [before + d["option1"], before + d["option2"]], [after.strip()] * 2, int(d["answer"]) - 1


def likelihoods(model, tokenizer, pairs):
    """lm-eval's _encode_pair and _loglikelihood_tokens over all pairs, batched by length."""
    import torch
    texts, heads = [], []
    for prompt, ending in pairs:
        ending = " " + ending
        spaces = len(prompt) - len(prompt.rstrip())
        if spaces:
            prompt, ending = prompt[:-spaces], prompt[-spaces:] + ending
        texts.append(prompt + ending)
        heads.append(prompt)
    once = {h: None for h in heads}
    for h, ids in zip(once, tokenizer(list(once))["input_ids"]):
        once[h] = ids
    rows = []
    for text, head in zip(tokenizer(texts)["input_ids"], heads):
        prompt = once[head] or [tokenizer.eos_token_id]
        whole = text if once[head] else prompt + text
        tail = whole[len(prompt):]
        rows.append((whole[-(LENGTH + 1):], len(tail)))
    out, order = [0.0] * len(rows), sorted(range(len(rows)), key=lambda i: len(rows[i][0]))
    head = model.lm_head.weight.T
    at = 0
    while at < len(order):
        size = max(1, min(len(order) - at, 16384 // len(rows[order[min(at + 255, len(order) - 1)]][0])))
        part = order[at:at + size]
        at += size
        longest = max(len(rows[i][0]) for i in part) - 1
        ids = torch.zeros(len(part), longest, dtype=torch.long)
        for k, i in enumerate(part):
            ids[k, :len(rows[i][0]) - 1] = torch.tensor(rows[i][0][:-1])
        with torch.no_grad():
            h = model.transformer(ids).last_hidden_state  # what comes after a sequence's end is not seen by it
            which = [(k, len(rows[i][0]) - 1 - t, rows[i][0][len(rows[i][0]) - t]) for k, i in enumerate(part) for t in range(rows[i][1], 0, -1)]
            k, t, want = (torch.tensor(x) for x in zip(*which))
            lp = (h[k, t] @ head).log_softmax(-1)[torch.arange(len(k)), want]
            sums = torch.zeros(len(part), dtype=torch.float64).index_add_(0, k, lp)
        for j, i in enumerate(part):
            out[i] = float(sums[j])
    return out


def check(folder):
    import h5py
    import numpy as np
    import torch
    from transformers import AutoTokenizer, GPT2LMHeadModel, logging

    logging.set_verbosity_error()
    tokenizer = AutoTokenizer.from_pretrained(folder + "/model")
    model = GPT2LMHeadModel.from_pretrained(folder + "/model").double().eval()
    runs = {r["stage"]: r for r in json.load(open(folder + "/runs.json"))}
    different = 0
    for name in asked():
        f = h5py.File(glob.glob("%s/runs/*/%s*/run.h5" % (folder, runs[name.replace("/", "-")]["id"][:10]))[0])
        e = f["eval/choice/" + name]
        got, pred, label = e["logits"][()], e["pred"][()], e["label"][()]
        all_of = list(questions(name, "%s/data/%s" % (folder, SETS[name])))
        if len(all_of) != len(got):
            sys.exit(f"{name}: {len(got)} questions, {len(all_of)} there")
        flat = likelihoods(model, tokenizer, [(p, c) for ps, cs, _ in all_of for p, c in zip(ps, cs)])
        worst, at, acc, norm, near = 0.0, 0, 0, 0, 0
        for i, (prompts, endings, right) in enumerate(all_of):
            want = np.array(flat[at:at + len(endings)])
            at += len(endings)
            error = float(np.max(np.abs(got[i, :len(endings)] - want) / np.maximum(np.abs(want), 1)))
            worst = max(worst, error)
            top = np.sort(want)[::-1]
            tie = top[0] - top[1] <= TOLERANCE * abs(top[0])
            near += bool(tie)
            if error > TOLERANCE or (pred[i] != int(np.argmax(want)) and not tie) or label[i] != right:
                different += 1
                print(f"{name} {i}: {got[i].tolist()} against {want.tolist()}, said {pred[i]}, right {label[i]} against {right}")
            acc += int(np.argmax(want)) == right
            norm += int(np.argmax(want / np.array([len(c) for c in endings]))) == right
        n = len(all_of)
        told = lambda m: float(f["metrics/eval/choice/%s/%s/value" % (name, m)][-1]) * n
        for what, ours, theirs in [("accuracy", told("accuracy"), acc)] + ([] if name.startswith(NO_NORM) else [("accuracy_norm", told("accuracy_norm"), norm)]):
            if abs(ours - theirs) > 1e-6 + near:
                different += 1
                print(f"{name} {what}: {ours} right against {theirs}")
        print(f"{name}: {n} questions, largest relative difference {worst:.1e}, {near} too near to tell", flush=True)
    if different:
        sys.exit(f"{different} lines differ")


if sys.argv[1] == "make":
    make(*sys.argv[2:])
else:
    check(sys.argv[2])
