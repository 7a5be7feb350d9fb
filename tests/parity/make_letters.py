#!/usr/bin/env python3
"""Writes engine/text/letters.inc: what byte-level BPE's pattern (Hugging Face tokenizers) holds each
character to be: letter, number, white space; all others are "other". Its tables are of a Unicode version
of their own, so they are asked for, code point by code point.

    python tests/parity/make_letters.py > engine/text/letters.inc
"""
from tokenizers import __version__, pre_tokenizers

split = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True).pre_tokenize_str
digits = pre_tokenizers.Digits(individual_digits=True).pre_tokenize_str


def class_of(c):
    if len(split("a" + c)) == 1:
        return "LETTER"
    if len(split("1" + c)) == 1:
        return "NUMBER"
    return None if len(split("!" + c)) == 1 else "SPACE"


ranges, alone = [], []
for p in range(0x110000):
    if 0xD800 <= p < 0xE000:
        continue
    kind = class_of(chr(p))
    if kind and ranges and ranges[-1][1] == p - 1 and ranges[-1][2] == kind:
        ranges[-1][1] = p
    elif kind:
        ranges.append([p, p, kind])
    if len(digits("a" + chr(p))) == 2:
        if alone and alone[-1][1] == p - 1:
            alone[-1][1] = p
        else:
            alone.append([p, p])

print(f"/* Made by tests/parity/make_letters.py from tokenizers {__version__}; do not edit. */")
print("static const struct letter_class letter_classes[] = {")
for a, b, kind in ranges:
    print(f"    {{0x{a:X}, 0x{b:X}, LETTER_{kind}}},")
print("};\n")
print("/* What a tokenizer that keeps digits apart cuts off. */")
print("static const struct digit_range digit_ranges[] = {")
for a, b in alone:
    print(f"    {{0x{a:X}, 0x{b:X}}},")
print("};")
