#!/usr/bin/env python3
"""Writes evals/metrics/fold.inc: what Python's str.lower, str.split and \\w hold each character to be, since
SQuAD's official scripts compare answers by them.

    python tests/parity/make_fold.py > evals/metrics/fold.inc
"""
import re
import sys
import unicodedata


def ranges(test):
    out = []
    for p in points:
        if test(chr(p)):
            if out and out[-1][1] == p - 1:
                out[-1][1] = p
            else:
                out.append([p, p])
    return out


def before_sigma(text):
    """Is a capital sigma behind this text lowered as the last letter of a word?"""
    return (text + "\u03a3").lower()[-1] == "\u03c2"


def table(name, rows, per_line):
    print("static const struct %s[] = {" % name)
    for i in range(0, len(rows), per_line):
        print("    " + " ".join(rows[i : i + per_line]))
    print("};")


points = [p for p in range(0x110000) if not 0xD800 <= p < 0xE000]
lowers = []
for p in points:
    low = chr(p).lower()
    if low == chr(p):
        continue
    if len(low) != 1:
        if p != 0x130 or low != "i\u0307":
            sys.exit("U+%04X becomes %r" % (p, low))
        continue
    delta = ord(low) - p
    last = lowers[-1] if lowers else None
    if last and last[2] == delta and last[0] == last[1] and p - last[1] in (1, 2):
        last[1], last[3] = p, p - last[0]
    elif last and last[2] == delta and p - last[1] == last[3]:
        last[1] = p
    else:
        lowers.append([p, p, delta, 1])

print("/* Made by tests/parity/make_fold.py from Python's Unicode %s; do not edit. */" % unicodedata.unidata_version)
table("fold_lower fold_lowers", ["{0x%X, 0x%X, %d, %d}," % tuple(r) for r in lowers], 4)
table("fold_range fold_words", ["{0x%X, 0x%X}," % tuple(r) for r in ranges(lambda c: re.match(r"\w", c))], 6)
table("fold_range fold_spaces", ["{0x%X, 0x%X}," % tuple(r) for r in ranges(str.isspace)], 6)
table("fold_range fold_cased", ["{0x%X, 0x%X}," % tuple(r) for r in ranges(before_sigma)], 6)
ignorable = ranges(lambda c: before_sigma("A" + c) and not before_sigma(c))
table("fold_range fold_ignorable", ["{0x%X, 0x%X}," % tuple(r) for r in ignorable], 6)
