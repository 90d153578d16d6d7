#!/usr/bin/env bash
# Guess:    a custom operator that changes a tensor under a lock stays atomic in each way of compiling, as its Python
#           implementation is what runs.
# Happens:  with backend="aot_eager" it changes a copy, which is written back after the lock was released: threads see the same
#           value twice. Eager mode and the default backend (Inductor) change the tensor in place and are right.
# Versions: torch 2.13.0, on the CPU.
# Matters:  counters, queues and streams of random numbers behind custom operators repeat. "aot_eager" is the backend to which
#           one is told to switch to look for an error.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==1.26.4
cat >"$folder/run.py" <<'PY'
import sys
import threading

import torch

torch.library.define("finding::take", "(Tensor(a!) counter) -> Tensor")
lock = threading.Lock()


@torch.library.impl("finding::take", "default")
def take(counter):
    with lock:
        before = counter.clone()
        counter.add_(1)
    return before


torch.library.register_fake("finding::take", torch.empty_like)
threads, calls = 8, 500


def distinct(draw):
    """Returns how many different values the threads have seen."""
    seen = []

    def work():
        seen.extend([int(draw()) for _ in range(calls)])

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return len(set(seen))


sys.setswitchinterval(1e-5)
counter = torch.zeros((), dtype=torch.int64)
print(f"torch {torch.__version__}: {threads} threads take {calls} numbers each from a counter")
found = {"eager mode": distinct(lambda: torch.ops.finding.take(counter))}
compiled = torch.compile(lambda: torch.ops.finding.take(counter), backend="aot_eager")
compiled()
found['backend="aot_eager"'] = distinct(compiled)
for mode, count in found.items():
    print(f"{mode}: {count:,} of {threads * calls:,} numbers are different")
first, second = found.values()
sys.exit(0 if first == threads * calls > second else "The behaviour has changed.")
PY
"$folder/venv/bin/python" -W ignore "$folder/run.py"
