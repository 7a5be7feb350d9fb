"""A folder that Retort exported, opened by transformers and saved again in four ways: saved_again.py FROM TO..."""
import json
import sys

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

source, single, shards, pickled, pickled_shards = sys.argv[1:]
model, info = AutoModelForSequenceClassification.from_pretrained(source, output_loading_info=True)
assert not info["missing_keys"] and not info["unexpected_keys"], info
tokenizer = AutoTokenizer.from_pretrained(source)
for folder in (single, shards, pickled, pickled_shards):
    model.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
model.save_pretrained(single)
model.save_pretrained(shards, max_shard_size="20KB")
state = model.state_dict()
torch.save(state, f"{pickled}/pytorch_model.bin")
names = list(state)
where = {name: f"pytorch_model-{i % 3 + 1:05}-of-00003.bin" for i, name in enumerate(names)}
for shard in sorted(set(where.values())):
    torch.save({n: state[n] for n in names if where[n] == shard}, f"{pickled_shards}/{shard}")
with open(f"{pickled_shards}/pytorch_model.bin.index.json", "w") as f:
    json.dump({"metadata": {"total_size": 1}, "weight_map": where}, f)
