#!/usr/bin/env python3
"""Checkpoints as torch.save writes them, and the same tensors as safetensors: make_torch_bin.py FOLDER

The committed fixtures are those of torch 2.13; tests make them anew with the PyTorch at hand too.
"""
import collections
import os
import sys

import torch
from safetensors.torch import save_file

out = sys.argv[1]
os.makedirs(out, exist_ok=True)
torch.manual_seed(1)

state = collections.OrderedDict()
state["plain"] = torch.randn(3, 4)
state["transposed"] = torch.randn(4, 3).t()
state["part"] = torch.randn(6, 5)[1:5, 2:4]
state["tied"] = state["plain"]
state["view"] = torch.randn(8)[2:6]
state["scalar"] = torch.tensor(2.5)
state["empty"] = torch.zeros(0, 7)
state["parameter"] = torch.nn.Parameter(torch.randn(2, 2))
state["cube"] = torch.randn(2, 3, 4).permute(2, 0, 1)
state["bf16"] = torch.randn(5).to(torch.bfloat16)
state["f16"] = torch.randn(5).to(torch.float16)
state["f64"] = torch.randn(5, dtype=torch.float64)
state["i64"] = torch.tensor([[-1, 2**40]])
state["i32"] = torch.tensor([-(2**31), 7], dtype=torch.int32)
state["i8"] = torch.tensor([-128, 127], dtype=torch.int8)
state["u8"] = torch.tensor([0, 255], dtype=torch.uint8)
state["bool"] = torch.tensor([True, False, True])
state["i16"] = torch.tensor([-300, 300], dtype=torch.int16)
state["n\u00e4me"] = torch.ones(1)

save_file({k: v.detach().clone().contiguous() for k, v in state.items()}, f"{out}/want.safetensors")
torch.save(state, f"{out}/archive.bin")
torch.save(state, f"{out}/protocol4.bin", pickle_protocol=4)
torch.save(state, f"{out}/old.bin", _use_new_zipfile_serialization=False)
torch.save(torch.nn.Linear(2, 3).state_dict(), f"{out}/module.bin")  # with its _metadata
torch.serialization.set_crc32_options(False)
torch.save(state, f"{out}/without_crc.bin")
