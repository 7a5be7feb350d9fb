"""Opens a run in plain h5py and reads everything docs/store.md names. layout.py STORE ID"""
import json
import os
import sys

import h5py
import numpy as np

store, run_id = sys.argv[1:]
path = lambda i: os.path.join(store, i[:2], i, "run.h5")


def check_object(name, obj):
    """Creation order is kept, times are off, every dataset has its class and can be read."""
    if isinstance(obj, h5py.Dataset):
        obj[()]
        assert obj.attrs["class"] in (b"result", b"extra", b"env"), name


f = h5py.File(path(run_id), "r")
f.visititems(check_object)
assert f.attrs["format"] == b"retort-run" and f.attrs["format_version"] == 1
assert f.attrs["run_id"].decode() == run_id
assert len(f.attrs["result_digest"]) == 64 and len(f.attrs["extra_digest"]) == 64

# Texts: JSON in UTF-8.
resolved = json.loads(f["resolved"].asstr()[()])
assert resolved["do"] == f.attrs["method"].decode()
assert "\u00e9" in json.loads(f["spec"].asstr()[()])["note"]
pins = json.loads(f["pins"].asstr()[()])
assert "data" in pins or "git" in pins or pins, pins
assert isinstance(json.loads(f["record"].asstr()[()]), dict)

# Series: every step, with its scale.
if "train" in f.get("metrics", {}):
    for name in ("loss", "lr", "grad_norm"):
        s = f["metrics/train"][name]
        assert list(s["step"][:]) == list(range(6)), name
        assert s["value"].dtype == "<f8" and s["value"].shape == (6,)
        assert list(s["value"].dims[0][0][:]) == list(range(6)), "no scale"
        assert s["value"].dims[0].label == "step"

# Predictions.
if "eval" in f:
    e = f["eval/synth/agreement/dev"]
    n = len(e["pred"])
    assert n == len(e["example_id"]) == len(e["label"]) == len(e["score"])
    prob, logits = e["prob"][:], e["logits"][:]
    assert prob.dtype == np.float64 and logits.dtype == np.float32
    soft = np.exp(logits.astype(np.float64))
    assert np.allclose(soft / soft.sum(1, keepdims=True), prob, atol=1e-12)
    assert (e["pred"][:] == logits.argmax(1)).all()
    assert np.isclose((e["pred"][:] == e["label"][:]).mean(),
                      f["metrics/eval/synth/agreement/dev/accuracy/value"][0])
    assert np.allclose(-np.log(prob[np.arange(n), e["label"][:].astype(int)]), e["score"][:])
    ids = e["pred"].dims[0][0].asstr()[:]
    assert len(set(ids)) == n and e["pred"].dims[0].label == "example"
    assert e["logits"].dims[1].label == "class"

# Tensors; those of another run by external links that HDF5 follows itself.
if "tensors" in f:
    config = json.loads(f["model/config"].asstr()[()])
    masks = f["masks/heads"]
    assert masks.shape == (config["num_hidden_layers"], config["num_attention_heads"])
    assert [d.label for d in masks.dims] == ["layer", "head"]
    for name in f["tensors"]:
        link = f["tensors"].get(name, getlink=True)
        t = f["tensors"][name]
        assert t.dtype == "<f4" and np.isfinite(t[()]).all()
        if isinstance(link, h5py.ExternalLink):
            other = link.filename.split("/")[-2]
            with h5py.File(path(other), "r") as g:
                assert (g[link.path][()] == t[()]).all()
    refs = [isinstance(f["tensors"].get(k, getlink=True), h5py.ExternalLink) for k in f["tensors"]]
    print(f.attrs["stage"].decode(), "refs", sum(refs), "of", len(refs),
          "masked", int((masks[()] == 0).sum()))

# Snapshots.
if "steps" in f:
    import hashlib
    for i, step in enumerate(f["parts/step"][:]):
        name = f["parts/file"].asstr()[i]
        raw = open(os.path.join(os.path.dirname(path(run_id)), "parts", name), "rb").read()
        assert hashlib.sha256(raw).hexdigest() == f["parts/sha256"].asstr()[i]
        assert len(raw) == f["parts/bytes"][i]
    steps = sorted(f["steps"], key=int)
    assert [int(s) for s in steps] == list(f["parts/step"][:])
    for s in steps:
        g = f["steps"][s]
        assert g.attrs["step"] == int(s) and g.attrs["format"] == b"retort-part"
        offset = g["batch/offset"][:]
        for layer in g["attention"]:
            for seq in g["attention"][layer]:
                a = g["attention"][layer][seq]
                t = offset[int(seq) + 1] - offset[int(seq)]
                assert a.shape[1:] == (t, t)
                assert np.allclose(a[()].sum(-1), 1, atol=1e-5)
                assert [d.label for d in a.dims] == ["head", "query", "key"]
        assert g["activations/encoder.layer.1"].shape[0] == offset[-1] == len(g["batch/token"])
        assert len(g["batch/example"]) == len(offset) - 1
    print(f.attrs["stage"].decode(), "steps", " ".join(steps), *sorted(f["steps/0"]))
