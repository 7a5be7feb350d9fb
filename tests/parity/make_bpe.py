#!/usr/bin/env python3
"""What the reference tokenizers (Hugging Face tokenizers, sentencepiece) make of hard texts and of whole files.

    make_bpe.py                       writes fixtures/{bytes,digits}.json, sp.model and bpe.tsv
    make_bpe.py digest TOKENIZER FILE... prints the SHA-256 of all ids of each file

TOKENIZER: a tokenizer.json, a tokenizer.model, or a folder with encoder.json and vocab.bpe. A row of bpe.tsv: the
tokenizer's file, the text in hexadecimal, the ids. A digest is over "id" lines of the whole file read as one text
(of files below WHOLE_MAX), then of each line by itself with "--" after each.
"""
import hashlib
import json
import os
import random
import sys

import sentencepiece
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from make_wordpiece import HARD, random_texts

WHOLE_MAX = 1500000
HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures")


def byte_level(pieces):
    return pre_tokenizers.Sequence(pieces + [pre_tokenizers.ByteLevel(add_prefix_space=False)]) if pieces \
        else pre_tokenizers.ByteLevel(add_prefix_space=False)


def load(path):
    """A function from text to ids."""
    if path.endswith(".model"):
        sp = sentencepiece.SentencePieceProcessor(model_file=path)
        return lambda text: sp.encode(text)
    if path.endswith(".json"):
        tok = Tokenizer.from_file(path)
    else:
        merges = open(os.path.join(path, "vocab.bpe"), encoding="utf-8").read().split("\n")[1:]
        vocab = json.load(open(os.path.join(path, "encoder.json")))
        tok = Tokenizer(models.BPE(vocab, [tuple(m.split()) for m in merges if m]))
        tok.pre_tokenizer = byte_level([])
        tok.add_special_tokens(["<|endoftext|>"])
    return lambda text: tok.encode(text, add_special_tokens=False).ids


def digest(encode, path):
    h = hashlib.sha256()
    text = open(path, "rb").read().decode("utf-8")
    if os.path.getsize(path) < WHOLE_MAX:
        h.update("".join("%d\n" % i for i in encode(text)).encode())
    for line in text.split("\n"):
        h.update("".join("%d\n" % i for i in encode(line)).encode() + b"--\n")
    return h.hexdigest()


MORE = [
    "I'll we've they're don't it's I'm he'd O'Neil 'S 'LL x'", "'s't're", " 's  't", "a  b   c", "a \n b\n\n\nc\n ", "\t\tx \t y",
    "end   ", "   ", " ", "\n", "\r\n\r\nx", "x\u00a0y \u00a0z\u2003\u2003w", "3.14 1,000 0x1F 2e10 \u00bd \u2167 \u0663\u0664",
    "a1b22c333", " 7 77 777", "<|endoftext|>", "a<|endoftext|>b", "<|endoftext|><|endoftext|> <|endoftext|>", "<|endoftext", "<|end|>",
    "<s> </s> <unk> <0x41>", "\u2581under \u2581\u2581two", "caf\u00e9 na\u00efve \u00e9\u00e9\u00e9", "def f(x):\n    return x**2  # ok\n",
    "https://example.org/a?b=c&d=%20", "!!!???...", "-- ---", "\u4f60\u597d\u4e16\u754c \u3053\u3093\u306b\u3061\u306f", "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f44d\U0001f3fd",
    "x" * 70, "ab" * 60, "the the the" * 30, " " * 40 + "a", "\u0301\u0301", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
]


def corpus(rng):
    """Text to learn merges from: words of a small grammar, numbers, code, other scripts."""
    who = "the cat|a researcher|some teachers|every student|the model|na\u00efve caf\u00e9 owners|\u4f60\u597d".split("|")
    does = "prunes|distils|doesn't see|they're ablating|measures 12 of|returns 3.14 for|I'll train".split("|")
    what = "attention heads|the weights|aaaa bbbb|1,000 tokens|x = x + 1;|    indented\n|\u3053\u3093\u306b\u3061\u306f|theory thereof".split("|")
    for _ in range(3000):
        yield " ".join(rng.choice(p) for p in (who, does, what)) + rng.choice([".", "!\n", ",", "  "])


def main():
    if len(sys.argv) > 3 and sys.argv[1] == "digest":
        encode = load(sys.argv[2])
        for path in sys.argv[3:]:
            print(digest(encode, path))
        return
    rng = random.Random(2)
    lines = list(corpus(rng))
    for name, pieces in (("bytes.json", []), ("digits.json", [pre_tokenizers.Digits(individual_digits=True)])):
        tok = Tokenizer(models.BPE())
        tok.pre_tokenizer = byte_level(pieces)
        tok.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=["<|endoftext|>", "<|end|>"], show_progress=False,
                                      initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
        tok.train_from_iterator(lines, trainer)
        tok.save(os.path.join(HERE, name))
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=os.path.join(HERE, "sp"), vocab_size=420, model_type="bpe",
        byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False, character_coverage=0.999,
        num_threads=1, minloglevel=2)
    os.remove(os.path.join(HERE, "sp.vocab"))
    texts = HARD + MORE + list(random_texts(rng, 300)) + rng.sample(lines, 20)
    with open(os.path.join(HERE, "bpe.tsv"), "w", newline="\n") as f:
        for name in ("bytes.json", "digits.json", "sp.model"):
            encode = load(os.path.join(HERE, name))
            for text in texts:
                f.write("%s\t%s\t%s\n" % (name, text.encode().hex(), " ".join(map(str, encode(text)))))


if __name__ == "__main__":
    main()
