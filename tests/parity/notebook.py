"""Runs an exported notebook from top to bottom, and its script: notebook.py FOLDER [IMAGES]. Prints the ids of
the cells that drew a figure; IMAGES is a folder that the figures are written to."""
import base64
import json
import os
import pathlib
import re
import subprocess
import sys

import nbclient
import nbformat

folder = pathlib.Path(sys.argv[1])
images = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else None
text = (folder / "notebook.ipynb").read_text(encoding="utf-8")
raw = json.loads(text)
nbformat.validate(raw)
assert (raw["nbformat"], raw["nbformat_minor"]) == (4, 5), raw["nbformat_minor"]
code = [cell for cell in raw["cells"] if cell["cell_type"] == "code"]
assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
ids = [cell["id"] for cell in raw["cells"]]
assert len(set(ids)) == len(ids) and all(re.fullmatch("[a-zA-Z0-9_-]{1,64}", i) for i in ids), ids
assert [cell["id"] for cell in code if "parameters" in cell["metadata"].get("tags", [])] == ["parameters"]

# The script has the same cells.
script = (folder / "notebook.py").read_text(encoding="utf-8")
parts = [part.split("\n", 1)[1].rstrip("\n") for part in re.split(r"^# %%", script, flags=re.M)[1:]]
assert len(parts) == len(raw["cells"]), (len(parts), len(raw["cells"]))
for part, cell in zip(parts, raw["cells"]):
    want = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        part = re.sub(r"^# ?", "", part, flags=re.M)
    assert part == want, (cell["id"], part, want)

book = nbformat.reads(text, as_version=4)
nbclient.NotebookClient(book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
for cell in book.cells:
    for output in cell.get("outputs", []):
        assert output.output_type != "error", output
        assert not (output.output_type == "stream" and output.name == "stderr"), (cell.id, output.text)
        png = output.get("data", {}).get("image/png")
        if png:
            print(cell.id)
        if png and images:
            images.mkdir(exist_ok=True)
            (images / f"{cell.id}.png").write_bytes(base64.b64decode(png))
subprocess.run([sys.executable, "notebook.py"], cwd=folder, check=True, env={**os.environ, "MPLBACKEND": "Agg"})
