"""Imitates other processors: runs NumPy with fewer features, in a new process."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

try:
    from numpy._core import _multiarray_umath as umath
except ImportError:  # NumPy 1
    from numpy.core import _multiarray_umath as umath

ROOT = Path(__file__).parents[2]


def switchable() -> List[str]:
    """Returns processor features that NumPy uses here and can disable."""
    found: Dict[str, Any] = umath.__cpu_features__
    return [name for name in umath.__cpu_dispatch__ if found[name]]


def levels() -> Dict[str, List[str]]:
    """Returns the processors to imitate, each as the list of its missing features.

    NumPy ignores a name that it does not know, and names differ between its versions (AVX512_SKX is
    X86_V4 later). So all of them are taken from NumPy itself.
    """
    every = switchable()
    wide = [name for name in every if name.startswith("AVX512") or name == "X86_V4"]
    return {"without AVX-512": wide, "oldest": every} if wide else {"oldest": every}


_PROOF = """
try:
    from numpy._core import _multiarray_umath as _umath
except ImportError:
    from numpy.core import _multiarray_umath as _umath
_on = [name for name in {lacks!r} if _umath.__cpu_features__[name]]
assert not _on, f"expected NumPy to do without {{_on}}"
"""


def run_on(lacks: List[str], code: str, **environment: str) -> str:
    """Runs a program without some features; fails if they cannot be disabled.

    Args:
      lacks: names of `switchable()`, none for this processor as it is.
      code: the program, which finds the package and the tests.
      environment: more variables.
    """
    env = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1", **environment}
    env["NPY_DISABLE_CPU_FEATURES"] = " ".join(lacks)
    command = [sys.executable, "-W", "ignore", "-c", _PROOF.format(lacks=lacks) + code]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout
