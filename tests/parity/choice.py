#!/usr/bin/env python3
"""Evaluations of choices in a run, made again by transformers: [CLS] a [SEP] b choice [SEP], cut longest first.

    choice.py RUN.h5 MODEL FOLDER book|race
"""
import ast
import json
import re
import sys

import h5py
import numpy
import torch
from transformers import AutoModelForMultipleChoice, AutoTokenizer


def openbookqa(folder):
    rows = open(folder + "/openbookqa/dev.tsv", encoding="utf-8").read().split("\n")[1:]
    for name, stem, choices, _, right in (row.split("\t")[:5] for row in rows if row):
        yield name, stem, "", [c.strip() for c in re.split(r"\([A-D]\) ", choices)[1:]], "ABCD".index(right[0])


def race(folder):
    for line in open(folder + "/race-middle/validation.jsonl", encoding="utf-8"):
        v = json.loads(line)
        options = v["options"] if isinstance(v["options"], list) else ast.literal_eval(v["options"])
        yield str(v["example_id"]), v["article"], v["question"] + " ", options, "ABCD".index(v["answer"][0])


run, model, folder, kind = sys.argv[1:]
length = {"book": 40, "race": 160}[kind]
tokenizer, net = AutoTokenizer.from_pretrained(model), AutoModelForMultipleChoice.from_pretrained(model).eval()
examples = list({"book": openbookqa, "race": race}[kind](folder))
at = {}
for e in examples:
    at.setdefault(e[0], []).append(e)
worst = 0.0
with h5py.File(run) as f:
    group = f["eval"]
    while "logits" not in group:
        group = group[next(iter(group))]
    ids = [i.decode() if isinstance(i, bytes) else i for i in group["example_id"][()]]
    for row, name in enumerate(ids):
        near = []
        for _, a, b, choices, right in at[name]:
            x = tokenizer([a] * len(choices), [b + c for c in choices], truncation="longest_first", max_length=length,
                          padding=True, return_tensors="pt")
            with torch.no_grad():
                out = net(**{k: v[None] for k, v in x.items()}, labels=torch.tensor([right]))
            d = numpy.abs(out.logits[0].numpy() - group["logits"][row][: len(choices)]).max()
            near.append(max(d, abs(float(out.loss) - group["score"][row])))
        worst = max(worst, min(near))  # several questions of one article have one id
print("%s: %d examples, largest difference of logits and losses %.1e" % (kind, len(ids), worst))
if not worst < 2e-5:
    sys.exit("logits or losses differ")
