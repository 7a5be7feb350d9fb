#!/usr/bin/env python3
"""Writes fixtures/squad: data sets, predictions and null odds made to trip a scorer, and what the official
definitions (squad_official.py) say of them. Articles inside and beside words, all sorts of punctuation and
blanks, letters that change their length when lowered, final sigmas, combining marks, answers of which nothing
is left, several right ones, odds that are equal.

    python tests/parity/make_squad.py tests/parity/fixtures/squad
"""
import contextlib
import json
import os
import random
import sys

import squad_official

PARTS = """a an the A AN The THE tHe theory an-other a. .a 'the' "An" a_b _the_ the- -a a\u2013b \u2014the\u2014 a\u00a0the
\u2028an\u3000 \u200ba a\u200bthe a\u0300 \u00e0 A\u030a \u00c5 \u212b \u0130 \u0130\u0130 I \u0131 \u1e9e \u00df \u01c5
\u03a3 \u039f\u0394\u039f\u03a3 \u039f\u03a3\u0391 \u03a3\u0391\u03a3 \u0391\u0301\u03a3 \u0391'\u03a3 \u0391.\u03a3. \u03a3\u00ad
\u0391\u03a3\u00ad \u0391\u03a3\u00ad\u0391 1\u03a3 \u02b0\u03a3 \uff21 \uff34\uff28\uff25 \U00010400 \U0001d400 \U0001e900 \u10a0 \u13a0 \uab70 \u2c2f
$5 5% 1,000 3.14 \u20ac7 U.S. U.S.A. rock'n'roll \u2018a\u2019 \u201cthe\u201d \u00aba\u00bb \u3001 \u3002 the\u3002 a\u3001b \uff0c ... !!! ( ) [a] {an} <the> a/the
a\\b ` ~ ^ | @a #the &an *a* +a = ; : ? 10th 2nd a1 1a a2a \u00b2a \u00bda \u2460a a\u2460 \u0966a \u0e01a \u4e2d\u6587 \u4e2da a\u4e2d the\u4e2d
\u001fa \u001c \u0085the \x7fa \ufeffa a\ufeff \u202ea \U0001f600 a\U0001f600 the\U0001f600the \u0601a \u06dda \u0640a \u1680an\u1680 \u180ea \u205fthe
Normandy normandy Normandy's in the 10th century 10th and 11th centuries France france""".split(" ")
PARTS = [p for part in PARTS for p in part.split("\n")]
rng = random.Random(7)


def text(most=4):
    return rng.choice([" ", " ", "  ", "", "\t", "\u00a0", " a ", "-"]).join(
        rng.choice(PARTS) for _ in range(rng.randint(1, most)))


def changed(answer):
    """As a model may say it: the same, in other letters, a part, more, something else."""
    words = answer.split(" ")
    rng.shuffle(words)
    return rng.choice([answer, answer, answer.upper(), answer.lower(), answer.title(), "the " + answer, answer + ".",
                       " ".join(words), answer[: len(answer) // 2], answer + " " + text(2), text(), ""])


def make(version, n, rich):
    """Contexts hold their answers, so every file is read as a data set."""
    paragraphs, said, odds = [], {}, {}
    for i in range(n):
        gold = [] if version == "v2.0" and rng.random() < 0.4 else [text() for _ in range(rng.randint(1, 4))]
        context = "Of " + " # ".join(gold) + " it is said."
        context += rich * rng.choice(PARTS)
        answers = [{"text": g, "answer_start": context.index(g)} for g in gold]
        qa = {"id": "q%d" % i, "question": "What?", "answers": answers}
        if version == "v2.0":
            qa["is_impossible"] = not gold
        paragraphs.append({"context": context, "qas": [qa]})
        said[qa["id"]] = changed(rng.choice(gold or ["", "", text()]))
        odds[qa["id"]] = rng.choice([rng.uniform(-8, 8), rng.uniform(-8, 8), float(rng.randint(-2, 2))])
    keys = list(said)
    rng.shuffle(keys)  # ties of the odds go by the order of their file
    return ({"version": version.lstrip("v") if version == "v1.1" else version,
             "data": [{"title": "t", "paragraphs": paragraphs}]},
            {k: said[k] for k in keys}, {k: odds[k] for k in keys[::-1]})


def write(path, value):
    with open(path, "w", encoding="utf-8") as out:
        json.dump(value, out, ensure_ascii=False, indent=0)


def expect(path, *args):
    with open(path, "w", encoding="utf-8") as out, contextlib.redirect_stdout(out):
        squad_official.main(*args)


def write_all(folder, n):
    os.makedirs(folder, exist_ok=True)
    for version in "v1.1", "v2.0":
        base = os.path.join(folder, version)
        data, said, odds = make(version, n, 20)
        write(base + ".data.json", data)
        write(base + ".said.json", said)
        expect(base + ".scores", version, base + ".data.json", base + ".said.json")
        if version == "v2.0":
            write(base + ".odds.json", odds)
            files = version, base + ".data.json", base + ".said.json", base + ".odds.json"
            expect(base + ".odds.scores", *files)
            expect(base + ".limit.scores", *files, "0.5")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        rng.seed(int(sys.argv[3]))
    write_all(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 150)
