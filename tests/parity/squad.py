#!/usr/bin/env python3
"""SQuAD's dev sets beside transformers' fast tokenizer: every window's tokens, offsets, answer and best context.

    squad.py windows FOLDER-OF-SQUAD MODEL WINDOWS     (test_squad.c wrote them)
    squad.py answers DATA OUT SEED                     writes predictions and null odds to be scored

Windows and answers as in transformers' run_qa (its search stopped at the end of the context), the best context as in
run_squad of the BERT repository.
"""
import hashlib
import json
import random
import sys

LENGTH, STRIDE = 384, 128


def questions(path):
    for article in json.load(open(path, encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            for qa in paragraph["qas"]:
                yield qa, paragraph["context"]


def short(values):
    import numpy
    return hashlib.sha256(values.astype(numpy.int32 if values.dtype != bool else bool).tobytes()).hexdigest()[:16]


def best_windows(spans):
    """For each window, which of its context tokens have their most context there."""
    if len(spans) == 1:
        return [[True] * spans[0][1]]
    out = []
    for w, (begin, n) in enumerate(spans):
        marks = []
        for t in range(begin, begin + n):
            scores = [(min(t - b, b + m - 1 - t) + 0.01 * m, -k) for k, (b, m) in enumerate(spans) if b <= t < b + m]
            marks.append(-max(scores)[1] == w)
        out.append(marks)
    return out


def answer(qa, offsets, inside):
    if not qa["answers"]:
        return 0, 0
    begin = qa["answers"][0]["answer_start"]
    end = begin + len(qa["answers"][0]["text"])
    first, last = inside[0], inside[-1]
    if offsets[first][0] > begin or offsets[last][1] < end:
        return 0, 0
    top = last
    while first < top and offsets[first + 1][0] <= begin:
        first += 1
    while last > inside[0] and offsets[last - 1][1] >= end:
        last -= 1
    return first, last


def lines(qa, context, tokenizer):
    import numpy
    to_byte = numpy.cumsum([0] + [len(c.encode()) for c in context])
    enc = tokenizer(qa["question"].lstrip(), context, truncation="only_second", max_length=LENGTH, stride=STRIDE,
                    return_overflowing_tokens=True, return_offsets_mapping=True)
    insides, spans, begin = [], [], 0
    for w in range(len(enc["input_ids"])):
        kinds = enc.sequence_ids(w)
        insides.append([i for i, k in enumerate(kinds) if k == 1])
        spans.append((begin, len(insides[-1])))
        begin += len(insides[-1]) - STRIDE
    best = best_windows(spans)
    for w, inside in enumerate(insides):
        ids, offsets = numpy.array(enc["input_ids"][w]), enc["offset_mapping"][w]
        start, end = (numpy.full(len(ids), -1) for _ in range(2))
        marks = numpy.zeros(len(ids), dtype=bool)
        for k, i in enumerate(inside):
            start[i], end[i], marks[i] = to_byte[offsets[i][0]], to_byte[offsets[i][1]], best[w][k]
        a, b = answer(qa, offsets, inside)
        yield "\t".join([qa["id"], str(w), str(a), str(b), short(ids), short(start), short(end), short(marks)])


def windows(folder, model, path):
    from transformers import AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained(model)
    ours = open(path, encoding="utf-8").read().splitlines()
    at = differ = 0
    for version in "1.1", "2.0":
        for qa, context in questions("%s/dev-v%s.json" % (folder, version)):
            for line in lines(qa, context, tokenizer):
                if at >= len(ours) or ours[at] != line:
                    differ += 1
                    if differ <= 10:
                        print("ours:  %s\ntheir: %s" % (ours[at] if at < len(ours) else "none", line))
                at += 1
    print("%d windows, %d differ" % (at, differ))
    if differ or at != len(ours):
        sys.exit("windows differ (ours: %d)" % len(ours))


def answers(data, out, seed):
    rng = random.Random(int(seed))
    said, odds = {}, {}
    for qa, context in questions(data):
        words = context.split(" ")
        i = rng.randrange(len(words))
        gold = [a["text"] for a in qa["answers"]] + [" ".join(words[i : i + rng.randint(1, 4)]), ""]
        said[qa["id"]] = rng.choice(gold)
        odds[qa["id"]] = rng.gauss(0, 4) - 3 * bool(qa["answers"])
    json.dump(said, open(out + ".said.json", "w", encoding="utf-8"), ensure_ascii=False)
    json.dump(odds, open(out + ".odds.json", "w", encoding="utf-8"))


if __name__ == "__main__":
    {"windows": windows, "answers": answers}[sys.argv[1]](*sys.argv[2:])
