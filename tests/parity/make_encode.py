#!/usr/bin/env python3
"""Writes fixtures/encode.tsv: pairs and windows as Hugging Face makes them of random texts.

    kind max_len stride begin length text_a text_b ids [labels from:to best]

Windows are separated by "/". begin -1: no answer. Labels as in transformers' run_qa, with its search
stopped at the end of the context; best context as in run_squad of the BERT repository.
"""
import os
import random

from tokenizers import BertWordPieceTokenizer

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures")


def load(**truncation):
    tok = BertWordPieceTokenizer(os.path.join(HERE, "wordpiece.vocab.txt"), lowercase=True)
    tok.enable_truncation(**truncation)
    return tok


def text(rng, n):
    words = ["plain", "words", "a", "b", "c", "ab", "bad", "cafe", "Dé", "don't", "(a)", "é", "gx", "[ab]"]
    return " ".join(rng.choice(words) for _ in range(n))


def best(windows, t):
    """Index of the window (begin, length) in which token t has the most context."""
    score = {}
    for w, (begin, n) in enumerate(windows):
        if begin <= t < begin + n:
            score[w] = min(t - begin, begin + n - 1 - t) + 0.01 * n
    return max(score, key=lambda w: (score[w], -w))


def label(offsets, context, begin, length):
    first, last = context
    if begin < 0 or not (offsets[first][0] <= begin and offsets[last][1] >= begin + length):
        return 0, 0
    while first <= context[1] and offsets[first][0] <= begin:
        first += 1
    while last >= context[0] and offsets[last][1] >= begin + length:
        last -= 1
    return first - 1, last + 1


def spans(rng):
    max_len, stride = rng.choice([(24, 8), (32, 4), (32, 0), (48, 16), (40, 20)])
    a, b = text(rng, rng.randrange(1, 4)), text(rng, rng.randrange(1, 60))
    begin = rng.randrange(len(b)) if rng.random() < 0.8 else -1
    length = rng.randrange(1, 8)
    if begin >= 0:
        length = min(length, len(b) - begin)
    tok = load(max_length=max_len, stride=stride, strategy="only_second")
    e = tok.encode(a, b)
    windows, out = [], []
    parts = [e] + e.overflowing
    room = max_len - 3 - sum(s == 0 for s in e.sequence_ids)
    for w, p in enumerate(parts):
        inside = [i for i, s in enumerate(p.sequence_ids) if s == 1]
        windows.append((w * (room - stride), len(inside)))
    at = [len(b[:i].encode()) for i in range(len(b) + 1)]
    for w, p in enumerate(parts):
        inside = [i for i, s in enumerate(p.sequence_ids) if s == 1]
        start, end = label(p.offsets, (inside[0], inside[-1]), begin, length)
        marks = "".join("1" if best(windows, windows[w][0] + k) == w else "0" for k in range(len(inside)))
        places = ",".join("%d:%d" % (at[p.offsets[i][0]], at[p.offsets[i][1]]) for i in inside)
        out.append("%s %d:%d %s %s" % (",".join(map(str, p.ids)), start, end, places, marks))
    byte = len(b[:begin].encode()) if begin >= 0 else -1
    bytes_long = len(b[begin : begin + length].encode()) if begin >= 0 else 0
    return ["span", max_len, stride, byte, bytes_long, a, b, "/".join(out)]


def pairs(rng):
    max_len = rng.choice([8, 9, 12, 17, 32])
    a, b = text(rng, rng.randrange(1, 20)), text(rng, rng.randrange(1, 20))
    e = load(max_length=max_len, strategy="longest_first").encode(a, b)
    return ["pair", max_len, 0, -1, 0, a, b, ",".join(map(str, e.ids))]


rng = random.Random(2)
with open(os.path.join(HERE, "encode.tsv"), "w", encoding="utf-8", newline="\n") as f:
    for make in [pairs] * 100 + [spans] * 100:
        f.write("\t".join(map(str, make(rng))) + "\n")
