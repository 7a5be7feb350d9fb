#!/usr/bin/env python3
"""SQuAD's official scores, from their published definitions: an oracle for `retort score`.

    squad_official.py v1.1|v2.0 DATA PREDICTIONS [NULL_ODDS [THRESHOLD]]

Prints what evaluate-v1.1.py or evaluate-v2.0.py print; without THRESHOLD no answer is taken back.
"""
import collections
import json
import re
import string
import sys


def normal(text):
    """Lower case, no punctuation, no articles, single blanks."""
    text = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def exact(gold, said):
    return int(normal(gold) == normal(said))


def f1(gold, said, version):
    gold, said = normal(gold).split(), normal(said).split()
    if version == "v2.0" and not (gold and said):
        return int(gold == said)
    same = sum((collections.Counter(gold) & collections.Counter(said)).values())
    if same == 0:
        return 0
    precision, recall = 1.0 * same / len(said), 1.0 * same / len(gold)
    return 2 * precision * recall / (precision + recall)


def questions(data):
    for article in data["data"]:
        for paragraph in article["paragraphs"]:
            yield from paragraph["qas"]


def version_1(data, said):
    total = em = overlap = 0
    for qa in questions(data):
        total += 1
        if qa["id"] in said:
            em += max(exact(a["text"], said[qa["id"]]) for a in qa["answers"])
            overlap += max(f1(a["text"], said[qa["id"]], "v1.1") for a in qa["answers"])
    return {"exact_match": 100.0 * em / total, "f1": 100.0 * overlap / total}


def best(said, scores, odds, answerable):
    """Answers are let through one by one, surest first."""
    now = top = sum(1 for k in answerable if not answerable[k])
    threshold = 0.0
    for k in sorted(odds, key=odds.get):
        if k in scores:
            now += scores[k] if answerable[k] else -1 if said[k] else 0
            if now > top:
                top, threshold = now, odds[k]
    return 100.0 * top / len(scores), threshold


def version_2(data, said, odds, limit):
    answerable, em, overlap = {}, {}, {}
    for qa in questions(data):
        k = qa["id"]
        gold = [a["text"] for a in qa["answers"] if normal(a["text"])] or [""]
        answerable[k] = bool(qa["answers"])
        em[k] = max(exact(g, said[k]) for g in gold)
        overlap[k] = max(f1(g, said[k], "v2.0") for g in gold)
    out = collections.OrderedDict()

    def kept(scores, k):
        return float(not answerable[k]) if odds and limit is not None and odds[k] > limit else scores[k]

    for prefix, wanted in ("", (True, False)), ("HasAns_", (True,)), ("NoAns_", (False,)):
        keys = [k for k in answerable if answerable[k] in wanted]
        if keys:
            for name, scores in ("exact", em), ("f1", overlap):
                total = 0  # added up plainly, as sum() of floats was when the scripts were written
                for k in keys:
                    total += kept(scores, k)
                out[prefix + name] = 100.0 * total / len(keys)
            out[prefix + "total"] = len(keys)
    if odds:
        for name, scores in ("exact", em), ("f1", overlap):
            out["best_" + name], out["best_" + name + "_thresh"] = best(said, scores, odds, answerable)
    return out


def main(version, data, said, odds=None, limit=None):
    data, said = json.load(open(data, encoding="utf-8")), json.load(open(said, encoding="utf-8"))
    odds = json.load(open(odds, encoding="utf-8")) if odds else None
    if version == "v1.1":
        print(json.dumps(version_1(data, said)))
    else:
        print(json.dumps(version_2(data, said, odds, None if limit is None else float(limit)), indent=2))


if __name__ == "__main__":
    main(*sys.argv[1:])
