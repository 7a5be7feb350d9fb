"""Nats that evaluate gives of a text, window by window, beside transformers in float64.

    perplexity.py make DIR DATA BYTES MORE    DIR/spec.json and DIR/*.txt, the beginning of WikiText-2 raw's test split
    perplexity.py check DIR                   DIR/runs.json: `retort ls --json`, DIR/runs the store, DIR/drawn exported

With a stride of one token each further window tells one token: so nats are compared position by position. They agree to
1e-5 of a window's sum, of single tokens to 1e-4 of the largest (float32 beside float64), the perplexities to 1e-5.
"""
import glob
import json
import sys

CASES = {  # max_len, stride, windows
    "drawn-inside": ("whole", 512, 0, "inside"), "drawn-all": ("whole", 512, 0, "all"),
    "drawn-strided": ("part", 256, 100, "inside"), "drawn-tokens": ("part", 64, 1, "inside"),
    "real-inside": ("bit", 256, 0, "inside"), "real-tokens": ("bit", 16, 1, "inside"),
}


def make(folder, data, size, more):
    text = open(data + "/lm/wikitext-2-raw/test.txt", "rb").read()
    for name, n in (("whole", int(size)), ("part", 6000), ("bit", 900)):
        piece = text[:n]
        open("%s/%s.txt" % (folder, name), "wb").write(piece if n >= len(text) else piece[:piece.rindex(b" ")])
    stages = {"drawn": {"do": "pretrain", "task": "my/whole", "split": "part", "tokenizer": data + "/tokenizers/gpt2", "vocab": 1024, "layers": 2, "width": 32,
                        "heads": 4, "positions": 512, "range": 0.3, "max_steps": 1, "lr": 0, "max_len": 16, "batch": 1}}
    for name, (file, n, step, windows) in CASES.items():
        if name.startswith("real") and not more:
            continue
        stages[name] = {"do": "evaluate", "model": {"from": "drawn"} if name.startswith("drawn") else more + "/smollm2-135m", "task": "my/whole",
                        "split": file, "max_len": n, "stride": step, "windows": windows, "begin": "no"}
    files = {name: name + ".txt" for name in ("whole", "part", "bit")}
    spec = {"retort": 1, "name": "perplexity", "seeds": [1], "stages": stages, "tasks": {"my/whole": {"kind": "text", "files": files}}}
    json.dump(spec, open(folder + "/spec.json", "w"), indent=1)
    open(folder + "/more", "w").write(more)


def told(ids, n, step, windows):
    """Of each window: its tokens, and which positions of the text it tells (from, to)."""
    step, done = step or n, 1
    for at in range(0, len(ids), step):
        if windows == "all":
            take = ids[at:at + n + 1]
            first, end = max(done, at + 1), at + len(take)
            inputs = take[:-1] if len(take) == n + 1 or at + len(take) == len(ids) else take
        else:
            take = ids[at:at + n]
            first, end, inputs = max(done, at + 1), at + len(take), take
        if first < end:
            yield at, inputs, first, end
        done = max(done, end)
        if end >= len(ids):
            return


def check(folder):
    import h5py
    import numpy as np
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, logging

    logging.set_verbosity_error()
    runs, loaded = {r["stage"]: r for r in json.load(open(folder + "/runs.json"))}, {}
    more, failed = open(folder + "/more").read(), False
    for name, (file, n, step, windows) in CASES.items():
        if name not in runs:
            continue
        where = folder + "/drawn" if name.startswith("drawn") else more + "/smollm2-135m"
        if where not in loaded:
            loaded[where] = AutoTokenizer.from_pretrained(where), AutoModelForCausalLM.from_pretrained(where, dtype=torch.float64).eval()
        tokenizer, model = loaded[where]
        ids = tokenizer(open("%s/%s.txt" % (folder, file), encoding="utf-8", newline="").read(), add_special_tokens=False)["input_ids"]
        want, count, pack = [], [], list(told(ids, n, step, windows))
        for k in range(0, len(pack), 16):
            part = pack[k:k + 16]
            x = torch.zeros(len(part), max(len(p[1]) for p in part), dtype=torch.long)
            for i, p in enumerate(part):
                x[i, :len(p[1])] = torch.tensor(p[1])
            with torch.no_grad():
                lp = model(x).logits.log_softmax(-1)
            for i, (at, _, first, end) in enumerate(part):
                want.append(-sum(float(lp[i, t - 1 - at, ids[t]]) for t in range(first, end)))
                count.append(end - first)
        f = h5py.File(glob.glob("%s/runs/*/%s*/run.h5" % (folder, runs[name]["id"][:10]))[0])
        e = f["eval/my/whole/" + file]
        tokens, nats = e["tokens"][()], e["score"][()] * e["tokens"][()]
        if tokens.tolist() != count:
            sys.exit(f"{name}: windows tell {tokens.tolist()[:9]}... tokens, not {count[:9]}...")
        want = np.array(want)
        error = np.abs(nats - want) / (np.abs(want).max() if step == 1 else np.abs(want))
        ours, theirs = float(f["metrics/eval/my/whole/%s/perplexity/value" % file][-1]), float(np.exp(want.sum() / sum(count)))
        print(f"{name}: {len(ids)} tokens, {len(count)} windows, largest difference {error.max():.1e}, perplexity {ours:.6f} and {theirs:.6f}", flush=True)
        if error.max() > (1e-4 if step == 1 else 1e-5) or abs(ours / theirs - 1) > 1e-5:
            print(f"{name}: windows {np.nonzero(error > 1e-5)[0].tolist()} differ")
            failed = True
    if failed:
        sys.exit(1)


if sys.argv[1] == "make":
    make(*sys.argv[2:])
else:
    check(sys.argv[2])
