"""PyTorch's side of test_decoders.c: small decoders with drawn weights, float64, eager attention, no dropout.

    python decoders.py make DIR             writes DIR/NAME (a Hugging Face folder) and DIR/NAME.safetensors for each model
    python decoders.py llama2c DIR FILE...  the same answers for models of llama2.c: DIR/0.safetensors, DIR/1.safetensors, ...
    python decoders.py same DIR NAME BACK   exits 0 if the folder DIR/BACK, written by Retort, gives the logits of DIR/NAME

An answer holds id and length (i32) of a few sequences, their logits one after another, the mean loss of the next token over all
rows that have one, and its gradient by every parameter under Retort's names, in Retort's form.
"""
import os
import struct
import sys

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, GPT2Config, GPTNeoConfig, LlamaConfig, logging

LENGTHS = [1, 17, 40, 2]
CONFIGS = {
    "gpt2": GPT2Config(vocab_size=97, n_positions=64, n_embd=48, n_layer=2, n_head=3, bos_token_id=1, eos_token_id=2),
    "gpt2-gelu": GPT2Config(vocab_size=97, n_positions=64, n_embd=48, n_layer=1, n_head=4, n_inner=100,
                            activation_function="gelu", tie_word_embeddings=False, bos_token_id=1, eos_token_id=2),
    "neo": GPTNeoConfig(vocab_size=97, max_position_embeddings=64, hidden_size=48, num_layers=3, num_heads=4,
                        attention_types=[[["global", "local"], 1], [["local"], 1]], window_size=5, bos_token_id=1, eos_token_id=2),
    "llama": LlamaConfig(vocab_size=97, hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=6,
                         num_key_value_heads=2, rope_theta=5000.0, rms_norm_eps=1e-5),
    "llama-tied": LlamaConfig(vocab_size=97, hidden_size=36, intermediate_size=64, num_hidden_layers=1,
                              num_attention_heads=3, num_key_value_heads=3, head_dim=16, tie_word_embeddings=True),
}


def draw(model):
    """Weights large enough that nothing is nearly linear; norms and biases not at their start."""
    g = torch.Generator().manual_seed(11)
    for p in model.parameters():
        with torch.no_grad():
            noise = torch.randn(p.shape, generator=g)
            p.copy_(noise * 0.15 if p.dim() > 1 else noise * 0.3 + (p != 0).float())


def ours(name, t):
    """A parameter under Retort's names: GPT-2's Conv1D is transposed, its c_attn three."""
    if ".c_attn." in name:
        base, kind = name.rsplit(".", 1)
        return {f"{base}.{part}.{kind}": x.t() if x.dim() > 1 else x for part, x in
                zip(("query", "key", "value"), t.chunk(3, dim=-1))}
    transposed = any(s in name for s in (".attn.c_proj.weight", ".mlp.c_fc.weight", ".mlp.c_proj.weight"))
    return {name: t.t() if transposed and ".h." in name else t}


def answer(model, vocab, gpt2, lengths=LENGTHS):
    rng = np.random.default_rng(5)
    ids = [torch.from_numpy(rng.integers(0, vocab, n)) for n in lengths]
    model = model.double().eval()
    logits = [model(i[None]).logits[0] for i in ids]
    losses = [torch.nn.functional.cross_entropy(z[:-1], i[1:], reduction="sum") for z, i in zip(logits, ids) if len(i) > 1]
    loss = sum(losses) / sum(n - 1 for n in lengths)
    loss.backward()
    out = {"id": torch.cat(ids).int(), "length": torch.tensor(lengths).int(), "logits": torch.cat(logits).detach().float(),
           "loss": loss.detach().float().reshape(1)}
    for name, p in model.named_parameters():
        parts = ours(name, p.grad) if gpt2 else {name: p.grad}
        out.update({"grad/" + k: v.float().contiguous() for k, v in parts.items()})
    return out


def make(folder):
    for name, cfg in CONFIGS.items():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(cfg, attn_implementation="eager")
        draw(model)
        model.save_pretrained(os.path.join(folder, name))
        save_file(answer(model, cfg.vocab_size, name.startswith("gpt2")), os.path.join(folder, name + ".safetensors"))


def read_llama2c(path):
    """A model of llama2.c as transformers has it, by its own reading of the file."""
    raw = open(path, "rb").read()
    dim, hidden, layers, heads, kv, vocab, seq = struct.unpack("7i", raw[:28])
    w = torch.from_numpy(np.frombuffer(raw[28:], np.float32).copy())
    at = 0

    def take(*shape):
        nonlocal at
        n = int(np.prod(shape))
        at += n
        return w[at - n:at].reshape(shape)

    def turn(t, n):
        """Pairs side by side to halves."""
        return t.reshape(layers, n, dim // heads // 2, 2, dim).transpose(2, 3).reshape(layers, -1, dim)

    hs = dim // heads
    emb = take(abs(vocab), dim)
    norm1, wq, wk, wv, wo = (take(layers, dim), turn(take(layers, dim, dim), heads), turn(take(layers, kv * hs, dim), kv),
                             take(layers, kv * hs, dim), take(layers, dim, dim))
    norm2, w1, w2, w3, norm = take(layers, dim), take(layers, hidden, dim), take(layers, dim, hidden), take(layers, hidden, dim), take(dim)
    take(seq * hs)
    head = emb if vocab > 0 else take(-vocab, dim)
    model = AutoModelForCausalLM.from_config(
        LlamaConfig(vocab_size=abs(vocab), hidden_size=dim, intermediate_size=hidden, num_hidden_layers=layers,
                    num_attention_heads=heads, num_key_value_heads=kv, rms_norm_eps=1e-5, rope_theta=10000.0,
                    tie_word_embeddings=vocab > 0, max_position_embeddings=seq), attn_implementation="eager")
    state = {"model.embed_tokens.weight": emb, "model.norm.weight": norm, "lm_head.weight": head}
    for i in range(layers):
        p = f"model.layers.{i}."
        state |= {p + "input_layernorm.weight": norm1[i], p + "self_attn.q_proj.weight": wq[i], p + "self_attn.k_proj.weight": wk[i],
                  p + "self_attn.v_proj.weight": wv[i], p + "self_attn.o_proj.weight": wo[i],
                  p + "post_attention_layernorm.weight": norm2[i], p + "mlp.gate_proj.weight": w1[i],
                  p + "mlp.down_proj.weight": w2[i], p + "mlp.up_proj.weight": w3[i]}
    model.load_state_dict(state)
    return model, abs(vocab)


def llama2c(folder, paths):
    for i, path in enumerate(paths):
        model, vocab = read_llama2c(path)
        save_file(answer(model, vocab, False), os.path.join(folder, f"{i}.safetensors"))


def same(folder, name, back):
    a = AutoModelForCausalLM.from_pretrained(os.path.join(folder, name), attn_implementation="eager").double().eval()
    b = AutoModelForCausalLM.from_pretrained(os.path.join(folder, back), attn_implementation="eager").double().eval()
    ids = torch.arange(1, 40)[None]
    return bool(torch.equal(a(ids).logits, b(ids).logits))


if __name__ == "__main__":
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(2)
    if sys.argv[1] == "make":
        make(sys.argv[2])
    elif sys.argv[1] == "llama2c":
        llama2c(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(0 if same(*sys.argv[2:]) else 1)
