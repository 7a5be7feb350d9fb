"""Writes fixtures/ops.h: ops in PyTorch float64; loss = sum(y * y), gradients of x, w, b, g."""
import os, torch, torch.nn.functional as F
torch.manual_seed(1)
r = lambda *s: torch.randn(*s).double().requires_grad_()
x, w, b, g = r(8, 6), r(5, 6), r(5), r(6)
def att(x, g):
    out = []
    for lo, hi in ((0, 3), (3, 8)):
        q = x[lo:hi].view(hi - lo, 2, 3).transpose(0, 1)
        k = (x * g)[lo:hi].view(hi - lo, 2, 3).transpose(0, 1)
        out.append(F.scaled_dot_product_attention(q, k, q).transpose(0, 1).reshape(hi - lo, 6))
    return torch.cat(out)
cases = [F.linear(x, w, b), F.gelu(x), torch.tanh(x), F.layer_norm(x, (6,), g, g, 1e-5), F.softmax(x, -1),
         F.log_softmax(x, -1), att(x, g), F.cross_entropy(x, torch.tensor([0, 2, 5, 1, 3, 2, 0, 1]))]
with open(os.path.join(os.path.dirname(__file__), "fixtures", "ops.h"), "w") as f:
    def put(name, rows):
        f.write("static const double %s = {\n" % name)
        for t in rows:
            f.write("{" + ", ".join("%.17g" % v for v in t) + "},\n")
        f.write("};\n")
    f.write("/* made by tests/parity/make_ops.py */\n")
    put("inputs[4][48]", [t.detach().flatten().tolist() for t in (x, w, b, g)])
    rows = []
    for y in cases:
        gr = torch.autograd.grad((y * y).sum(), (x, w, b, g), retain_graph=True, allow_unused=True)
        gr = [torch.zeros_like(p) if d is None else d for d, p in zip(gr, (x, w, b, g))]
        rows.append([(y * y).sum().item()] + torch.cat([d.flatten() for d in gr]).tolist())
    put("wanted[8][90]", rows)
