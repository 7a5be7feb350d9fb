#!/usr/bin/env python3
"""What Hugging Face's fast BERT tokenizer makes of hard texts and of whole files.

    make_wordpiece.py                      writes fixtures/wordpiece.vocab.txt and wordpiece.tsv
    make_wordpiece.py digest VOCAB FILE... prints the SHA-256 of all ids and offsets of each file

A row of wordpiece.tsv: "lower" or "cased", the text in hexadecimal, and id:begin:end for each token, in
bytes of the text. A digest is over "id begin end" lines, and "--" after each line of the file.
"""
import hashlib
import json
import os
import random
import sys

from tokenizers import BertWordPieceTokenizer

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures")


def load(vocab, lower):
    tok = BertWordPieceTokenizer(vocab, lowercase=lower)
    for special in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"):
        tok.add_special_tokens([special])
    return tok


def decode(raw):
    """Text as the tokenizer reads it, and the byte where each of its characters begins."""
    text, at = [], []
    i = 0
    while i < len(raw):
        k = 1
        try:
            while True:
                piece = raw[i : i + k].decode("utf-8", "strict")
                break
        except UnicodeDecodeError:
            lead = raw[i]
            want = 4 if lead >= 0xF0 else 3 if lead >= 0xE0 else 2 if lead >= 0xC0 else 1
            whole = raw[i : i + want]
            try:
                piece = whole.decode("utf-8", "strict")
                k = want
            except UnicodeDecodeError as e:
                piece, k = "\ufffd", e.end
        text.append(piece)
        at.append(i)
        i += k
    assert "".join(text) == raw.decode("utf-8", "replace")
    return "".join(text), at + [len(raw)]


def rows(tok, raws):
    texts = [decode(r) for r in raws]
    encoded = tok.encode_batch([t for t, _ in texts], add_special_tokens=False)
    for (_, at), e in zip(texts, encoded):
        yield [(i, at[b], at[f]) for i, (b, f) in zip(e.ids, e.offsets)]


def lines_of(path):
    if not path.endswith(".json"):
        return open(path, "rb").read().split(b"\n")
    out = []
    for article in json.load(open(path, encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            out.append(paragraph["context"])
            out += [qa["question"] for qa in paragraph["qas"]]
    return [t.encode().replace(b"\n", b" ") for t in out]


def digest(vocab, path):
    h = hashlib.sha256()
    for row in rows(load(vocab, True), lines_of(path)):
        h.update("".join("%d %d %d\n" % r for r in row).encode() + b"--\n")
    return h.hexdigest()


HARD = [
    "", " ", "\t\n\r", "plain words here", "Don't stop, can't won't!", "  spaces \t around ",
    "[CLS] a [SEP] b [MASK] c [PAD] [UNK]", "[cls] [Sep] [MASK", "[[SEP]]", "x[SEP]y[SEP]", "[ SEP ]",
    "é è ñ Å Ångström naïve café", "e\u0301 a\u0316\u0301 a\u0301\u0316 q\u0307\u0323 \u1e69 \u1e9b\u0323",
    "\u0301leading mark", "only\u0301\u0301\u0301", "\u0344\u0f73\u0301\u0f73", "\u01d5\u0316\u0390\u03b0\u1f82",
    "Straße STRASSE ẞ", "İstanbul ISTANBUL ı", "ΑΣΑΣ σς Σ", "Ǆ ǅ ǆ Ω Å K", "ﬁ ﬂ ﬀ",
    "我爱北京 Beijing北京x", "日本語テキスト カタカナ ｶﾀｶﾅ が か\u3099", "한국어 각 \u1100\u1161\u11a8",
    "\uf900\U0002f800\U00020000\U0002b820\U0002b920x", "中\u0301\u0316文",
    "👩‍👩‍👧‍👦 👍🏽 🇩🇪 ☺️ 1️⃣", "a\u200db\u200cc\u200bd\ufeffe\u00adf", "zero\x00nul \x01\x02ctl \x7f \x85 \x9f",
    "\u00a0nbsp\u2003em\u3000wide\u2028line\u2029para\u1680\u180e\u202f\u205f", "\ue000\uf8ff\U000f0000\U0010fffd pua",
    "שָׁלוֹם عَرَبِيّ \u202eRTL\u202c \u2067x\u2069", "हिन्दी தமிழ் বাংলা ไทย ลาว", "a\u0903\u093e\u1d165b",
    "\U0001d165\U0001d16d\U0001d15e\U0001d160\u0301", "\u302e\u302f\u0301한\u302e", "“quotes” ‘single’ — – … « » ¿ ¡ § ¶",
    "$100 ^ ` ~ + < = > | \\ € £ ¥ © ® ™ ° ±", "a_b-c.d,e;f:g", "₀¹²³½ Ⅷ ⅷ ①", "𝐁𝐨𝐥𝐝 𝔘 Ａｆｕｌｌ",
    "w" * 99, "w" * 100, "w" * 101, "é" * 100, "e\u0301" * 101, "a\u200b" * 101, "ab" * 50 + "中" + "c" * 101,
    "\ufffd\ufffdx\ufffe\uffff", "\u0378\U000e0041\U000e0100tag", "\u1ac3\u0897\U0001e4ee\U00011938\U00016d69",
    "\ua7c0\ua7cb\u2c2f\U00010570\U00010d50 Ა\u10a0Ꭰ\uab70", "##a ## #a a##b", "\u037e \u0387 \u2126 \u212b",
]
BROKEN = [
    b"\xff\xfe", b"a\x80b", b"\xc0\xaf", b"\xe4\xb8", b"x\xe4\xb8y", b"\xed\xa0\x80", b"\xf0\x90\x80", b"\xf0\x90\x80z",
    b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"caf\xe9 noir", b"\xe2\x82\xac\xe2\x82", b"\xef\xbf\xbd\xef\xbf", b"[SEP\xff]",
]


def random_texts(rng, n):
    pools = [
        [chr(c) for c in range(0x20, 0x7F)], [chr(c) for c in range(0x20)],
        [chr(c) for c in range(0x80, 0x250)], [chr(c) for c in range(0x300, 0x370)],
        [chr(c) for c in range(0x370, 0x600)], [chr(c) for c in range(0x600, 0x1200)],
        [chr(c) for c in range(0x1D00, 0x2100)], [chr(c) for c in range(0x2100, 0x3100)],
        [chr(c) for c in range(0x3400, 0xA000)], [chr(c) for c in range(0xA000, 0xD800)],
        [chr(c) for c in range(0xE000, 0x10000)], [chr(c) for c in range(0x10000, 0x12000)],
        [chr(c) for c in range(0x1D000, 0x20000)], [chr(c) for c in range(0x20000, 0x110000, 97)],
        ["\u0301", "\u0316", "\u0345", "\u093c", "\u3099", "\u302e", "\U0001d165", "\u0f71", "\u0f73", "\u0344", "é", "ṩ"],
    ]
    for _ in range(n):
        mine = rng.sample(pools, 3) + [list("abc ")]
        yield "".join(rng.choice(rng.choice(mine)) for _ in range(rng.randrange(1, 24)))


def main():
    if len(sys.argv) > 3 and sys.argv[1] == "digest":
        for path in sys.argv[3:]:
            print(digest(sys.argv[2], path))
        return
    rng = random.Random(1)
    raws = [t.encode() for t in HARD] + BROKEN
    raws += [t.encode() for t in random_texts(rng, 500)]
    raws += [bytes(rng.choice(b"a\x80\xbf\xc3\xe4\xb8\xad\xf0\x9f\xed\xa0 [") for _ in range(12)) for _ in range(60)]
    # Single characters of half of all that occur, so that [UNK] occurs too; and a few words.
    seen = set("".join(r.decode("utf-8", "replace") for r in raws))
    import unicodedata
    for c in list(seen):
        seen |= set(unicodedata.normalize("NFD", c)) | set(c.lower()) | set(unicodedata.normalize("NFD", c).lower())
    chars = sorted(c for c in seen if c.isprintable() and c != " " and rng.random() < 0.5 or c in "abcdefgsx#[]")
    words = ["plain", "word", "##s", "here", "don", "stop", "naive", "cafe", "angstrom", "Angstrom", "istanbul", "ww", "##ww", "##www"]
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + words
    vocab += [c for c in chars] + ["##" + c for c in chars]
    os.makedirs(HERE, exist_ok=True)
    path = os.path.join(HERE, "wordpiece.vocab.txt")
    with open(path, "w", encoding="utf-8", newline="\n") as f:
        f.write("".join(t + "\n" for t in dict.fromkeys(vocab)))
    with open(os.path.join(HERE, "wordpiece.tsv"), "w", newline="\n") as f:
        for name, lower in (("lower", True), ("cased", False)):
            for raw, row in zip(raws, rows(load(path, lower), raws)):
                f.write("%s\t%s\t%s\n" % (name, raw.hex(), " ".join("%d:%d:%d" % r for r in row)))


if __name__ == "__main__":
    main()
