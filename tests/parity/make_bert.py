"""Writes fixtures/bert.h: last hidden state of [CLS] and pooled output of real checkpoints, by transformers in float64.

    RETORT_SHARED=... python make_bert.py
"""
import os
import pathlib

import torch
from transformers import AutoModel, AutoTokenizer

PAIRS = [
    ("The committee met on Tuesday.", "A meeting of the committee took place."),
    ("Nobody had expected so much rain, not even the farmers in the north!", "It rained."),
    ("Yes", "The train from Lyon was forty minutes late, and the passengers were not told why."),
]
HERE = pathlib.Path(__file__).parent
MODELS = pathlib.Path(os.environ["RETORT_SHARED"]) / "models"


def outputs(name, pooled):
    tok = AutoTokenizer.from_pretrained(MODELS / name)
    model = AutoModel.from_pretrained(MODELS / name, attn_implementation="eager").double().eval()
    rows = []
    for a, b in PAIRS:
        with torch.no_grad():
            out = model(**tok(a, b, return_tensors="pt"))
        rows.append(out.pooler_output[0] if pooled else out.last_hidden_state[0, 0])
    return torch.stack(rows)


def main():
    lines = ["/* Made by make_bert.py: (3, 384) each, transformers in float64. clang-format off */",
             "static const char *const bert_pairs[3][2] = {"]
    for a, b in PAIRS:
        lines.append(f'    {{"{a}", "{b}"}},')
    lines.append("};")
    for name, c, pooled in (("minilm-l6-h384", "bert_minilm_pooled", True),
                            ("minilm-l6-h384", "bert_minilm_cls", False),
                            ("gte-small-l12-h384", "bert_gte_cls", False)):
        lines.append(f"static const double {c}[] = {{")
        lines += ["    " + ", ".join(f"{x:.9g}" for x in row) + "," for row in outputs(name, pooled).reshape(-1, 8).tolist()]
        lines.append("};")
    (HERE / "fixtures" / "bert.h").write_text("\n".join(lines) + "\n")


main()
