"""Fine-tunes a BERT-like encoder on MRPC with PyTorch and transformers, the peer of
experiments/finetune/mrpc.json: one line of JSON a seed, appended to OUT; a seed that stands
there already is not run again.

    finetune_mrpc.py MODEL MRPC_FOLDER OUT SEED...

The settings are those of the spec: 3 epochs, batch 32, AdamW, learning rate 5e-5, linear
warm-up over 10 % of the steps and linear decay to 0, weight decay 0.01 (none on biases and
LayerNorm), clipping at a global norm of 1, dropout 0.1, at most 128 tokens, f32, data
shuffled anew each epoch, the classifier drawn from N(0, 0.02). A batch's gradient is summed
over quarters of like length, which pads less and changes nothing else.
"""
import json
import os
import sys
import time

import torch
from sklearn.metrics import accuracy_score, f1_score
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from transformers import get_linear_schedule_with_warmup

EPOCHS, BATCH, QUARTER, LR, WARMUP, DECAY, CLIP, LENGTH = 3, 32, 8, 5e-5, 0.1, 0.01, 1.0, 128


def read(path):
    with open(path, encoding="utf-8-sig") as file:
        rows = [line.rstrip("\r\n").split("\t") for line in file][1:]
    return [(row[3], row[4], int(row[0])) for row in rows if len(row) >= 5]


def encode(tokenizer, rows):
    batch = tokenizer([row[0] for row in rows], [row[1] for row in rows], padding=True,
                      truncation=True, max_length=LENGTH, return_tensors="pt")
    return batch, torch.tensor([row[2] for row in rows])


def size(row):
    return len(row[0]) + len(row[1])


def run(folder, train, dev, seed):
    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=2, dtype=torch.float32)  # else that of the file, f16
    bare = ("bias", "LayerNorm.weight")
    groups = [
        {"params": [p for n, p in model.named_parameters() if not n.endswith(bare)],
         "weight_decay": DECAY},
        {"params": [p for n, p in model.named_parameters() if n.endswith(bare)],
         "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=LR)
    steps = EPOCHS * -(-len(train) // BATCH)
    schedule = get_linear_schedule_with_warmup(optimizer, int(WARMUP * steps), steps)
    model.train()
    for _ in range(EPOCHS):
        order = torch.randperm(len(train)).tolist()
        for start in range(0, len(train), BATCH):
            rows = sorted((train[i] for i in order[start:start + BATCH]), key=size)
            for at in range(0, len(rows), QUARTER):
                batch, labels = encode(tokenizer, rows[at:at + QUARTER])
                loss = model(**batch, labels=labels).loss
                (loss * (len(labels) / len(rows))).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    model.eval()
    guesses = []
    with torch.no_grad():
        for start in range(0, len(dev), BATCH):
            batch, _ = encode(tokenizer, dev[start:start + BATCH])
            guesses += model(**batch).logits.argmax(-1).tolist()
    labels = [row[2] for row in dev]
    return {"seed": seed, "dev_accuracy": accuracy_score(labels, guesses),
            "dev_f1": f1_score(labels, guesses)}


def main():
    folder, data, out = sys.argv[1:4]
    train, dev = (read(os.path.join(data, name)) for name in ("train.tsv", "dev.tsv"))
    done = set()
    if os.path.exists(out):
        with open(out, encoding="utf-8") as file:
            done = {json.loads(line)["seed"] for line in file}
    for seed in map(int, sys.argv[4:]):
        if seed not in done:
            start = time.monotonic()
            line = json.dumps(run(folder, train, dev, seed))
            with open(out, "a", encoding="utf-8") as file:
                file.write(line + "\n")
            print(line, f"{time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
