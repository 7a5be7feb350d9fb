#!/usr/bin/env python3
"""Writes engine/text/unicode.inc: what the reference tokenizer (Hugging Face tokenizers) holds each
character to be. Its tables are of several Unicode versions, none of them the one of the system's
libraries, so they are asked for, code point by code point.

    python tests/parity/make_unicode.py > engine/text/unicode.inc
"""
import sys
import unicodedata

from tokenizers import __version__, normalizers, pre_tokenizers

clean = normalizers.BertNormalizer(True, False, False, False).normalize_str
strip = normalizers.BertNormalizer(False, False, True, False).normalize_str
lower = normalizers.Lowercase().normalize_str
nfd = normalizers.NFD().normalize_str
alone = normalizers.BertNormalizer(False, True, False, False).normalize_str
split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str


def class_of(c):
    cleaned = clean("a" + c + "b")
    if cleaned == "ab":
        return "DROP"
    if cleaned == "a b":
        return "SPACE"
    if alone(c) != c:
        return "ALONE"
    if nfd(c) == c and strip("a" + c) == "a":
        return "MARK"
    return {1: None, 2: "SPACE", 3: "PUNCT"}[len(split("a" + c + "b"))]


def combining(c):
    """Its canonical combining class, 0 where the reference's tables are too old to know it."""
    known = nfd("a" + c + "\u0334") != "a" + c + "\u0334" or nfd("a\u0345" + c) != "a\u0345" + c
    return unicodedata.combining(c) if known else 0


def extend(ranges, p, *value):
    if ranges and ranges[-1][1] == p - 1 and ranges[-1][2:] == list(value):
        ranges[-1][1] = p
    else:
        ranges.append([p, p, *value])


points = [p for p in range(0x110000) if not 0xD800 <= p < 0xE000]
classes, lowers, orders, splits = [], [], [], []
for p in points:
    c = chr(p)
    kind = class_of(c)
    if kind:
        extend(classes, p, kind)
    low = lower(c)
    if len(low) == 1 and low != c:
        delta = ord(low) - p
        last = lowers[-1] if lowers else None
        if last and last[2] == delta and last[0] == last[1] and p - last[1] in (1, 2):
            last[1], last[3] = p, p - last[0]
        elif last and last[2] == delta and p - last[1] == last[3]:
            last[1] = p
        else:
            lowers.append([p, p, delta, 1])
    # Newer libraries know more decompositions; those of the reference are older and stable.
    if nfd(c) != c:
        if unicodedata.normalize("NFD", c) != nfd(c):
            sys.exit("U+%04X decomposes in another way" % p)
        extend(splits, p)
    elif combining(c):
        extend(orders, p, combining(c))



def table(name, array, rows, per_line):
    print("static const struct %s %s[] = {" % (name, array))
    for i in range(0, len(rows), per_line):
        print("    " + " ".join(rows[i : i + per_line]))
    print("};")


print("/* Written by tests/parity/make_unicode.py from tokenizers %s. */" % __version__)
print("/* clang-format off */")
table("char_class", "char_classes", ["{0x%X, 0x%X, CHAR_%s}," % tuple(r) for r in classes], 3)
table("char_lower", "char_lowers", ["{0x%X, 0x%X, %d, %d}," % tuple(r) for r in lowers], 4)
table("char_order", "char_orders", ["{0x%X, 0x%X, %d}," % tuple(r) for r in orders], 5)
table("char_split", "char_splits", ["{0x%X, 0x%X}," % tuple(r) for r in splits], 6)
print("/* clang-format on */")
