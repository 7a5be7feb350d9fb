#!/bin/sh
# Retort's speed beside PyTorch's, in one run: bench.sh BUILD. Results in BUILD/bench.json, as a page in
# BUILD/performance.md (BENCH_PAGE=docs/performance.md names another).
#
# BENCH=quick takes some minutes, the default about ten, BENCH=full half an hour to an hour on a quiet machine;
# BENCH_ONLY=text picks cases by their name (start, sweep and recording are names too), BENCH_ROUNDS=n sets how often
# each is measured, BENCH_PEERS=eager,sdpa beside whom (also compile, onnx; all if it is not set).
# Each case is kept in BUILD/bench/kept when it is finished: the same command after a stop goes on, and what this build
# has measured on this machine is not measured again, unless BENCH_AGAIN=1 is given. BENCH=kept measures nothing: the
# page shows what is finished.
# The peer needs Python with PyTorch and transformers: RETORT_PYTHON, or an environment made in BUILD. ONNX Runtime
# (packages onnx and onnxruntime) joins where it is there, torch.compile where a C++ compiler is; else the page says so.
# Without network or Python the figures of Retort and its share of the limit stand alone.
set -eu
build=$1
# Real data and checkpoints, where they lie beside the project.
if [ -z "${RETORT_SHARED-}" ] && [ -d ../shared ]; then RETORT_SHARED=$(cd ../shared && pwd); export RETORT_SHARED; fi
bench=$build/tests/bench/bench
folder=$build/bench
mkdir -p "$folder"

peer() { # prints a Python that has what the peer needs; else says why there is none
    if [ -n "${RETORT_PYTHON-}" ]; then echo "$RETORT_PYTHON"; return; fi
    venv=$build/venv
    if ! "$venv/bin/python" -c 'import torch, transformers' 2>/dev/null; then
        echo "Making an environment for the peer in $venv ..." >&2
        python3 -m venv "$venv" >&2 &&
            "$venv/bin/pip" install -q --disable-pip-version-check torch==2.13.0 \
                --index-url https://download.pytorch.org/whl/cpu --extra-index-url https://pypi.org/simple >&2 &&
            "$venv/bin/pip" install -q --disable-pip-version-check -r tests/parity/requirements.txt >&2 ||
            { echo "No peer: Python or the network is missing." >&2; return; }
        "$venv/bin/pip" install -q --disable-pip-version-check onnx onnxruntime >&2 ||
            echo "No ONNX Runtime: it could not be installed." >&2
    fi
    echo "$venv/bin/python"
}

python=$(peer)
rc=0
"$bench" run "$folder" "$build/bench.json" "$build/retort" ${python:+"$python"} || rc=$?
"$bench" report "$build/bench.json" "${BENCH_PAGE:-$build/performance.md}"
echo "Results: $build/bench.json, ${BENCH_PAGE:-$build/performance.md}"
exit "$rc"
