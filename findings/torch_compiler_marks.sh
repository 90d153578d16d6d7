#!/usr/bin/env bash
# Guess:    torch.compiler.disable and torch.compiler.assume_constant_result mark a function, for the case that somebody compiles
#           it later. A decorator costs nothing.
# Happens:  each imports the compiler (torch._dynamo, with sympy) as soon as the module that holds the function is imported:
#           800 more modules, and a second of processor time.
# Versions: torch 2.13.0.
# Matters:  every process that imports such a library pays, each loader's worker and each request's cold start, though none
#           compiles. torch.compiler.is_compiling() and a call inside the function cost nothing until then.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.3.5
"$folder/venv/bin/python" - <<'PY'
import subprocess
import sys

PROGRAM = """
import sys, time, torch
began, before = time.process_time(), len(sys.modules)
{mark}
def constant():
    return 1
took = time.process_time() - began
print("torch._dynamo" in sys.modules, "sympy" in sys.modules, len(sys.modules) - before, round(took, 1))
"""
found = {}
for mark in ("", "@torch.jit.ignore", "@torch.compiler.disable", "@torch.compiler.assume_constant_result"):
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(mark=mark)], capture_output=True, text=True, check=True)
    found[mark] = done.stdout.split()
    compiler, sympy, modules, seconds = found[mark]
    print(f"{mark or 'no decorator'}: compiler {compiler}, sympy {sympy}, {modules} modules, {seconds} s of processor time")
loaded = [compiler for compiler, *_ in found.values()]
sys.exit(0 if loaded == ["False", "False", "True", "True"] else "The behaviour has changed.")
PY
