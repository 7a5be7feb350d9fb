"""Writes fixtures/rng.txt: what numpy.random.PCG64 draws from streams keyed as retort/rng.h says.

    purpose seed draw1 ... draw8 draw_1000001 uniform (after a fresh start)

usage: make_rng.py > fixtures/rng.txt
"""

import hashlib

import numpy as np

CASES = [
    (0, "order/mrpc/0"),
    (1, "order/mrpc/0"),
    (1, "order/mrpc/1"),
    (42, "init/bert.encoder.layer.0.attention.self.query.weight"),
    (2**64 - 1, "dropout/encoder.3/17"),
    (2**63, "x"),
    (7, ""),
    (7, "long/" + "a" * 600),
]


def stream(seed, purpose):
    digest = hashlib.sha256(seed.to_bytes(8, "little") + purpose.encode()).digest()
    bits = np.random.PCG64()
    state = bits.state
    state["state"] = {
        "state": int.from_bytes(digest[:16], "big"),
        "inc": int.from_bytes(digest[16:], "big") | 1,
    }
    bits.state = state
    return bits


for seed, purpose in CASES:
    draws = [int(x) for x in stream(seed, purpose).random_raw(8)]
    far = stream(seed, purpose)
    far.advance(1000000)
    uniform = np.random.Generator(stream(seed, purpose)).random()
    print(purpose or "-", seed, *draws, int(far.random_raw()), float(uniform).hex())
