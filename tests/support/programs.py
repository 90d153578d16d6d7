"""Runs the programs of workflows/, each in a process of its own, and kills them in the middle."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
WORKFLOWS = ROOT / "workflows"
ENV = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(WORKFLOWS)])}
KILLED = """
import os, signal, sys
import {program}
{program}.{name} = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
{program}.main(sys.argv[1:])
"""


def run(script: str, *arguments: Any) -> str:
    """Output of a program that ends well."""
    command = [sys.executable, str(WORKFLOWS / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, env=ENV)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def killed(program: str, name: str, *arguments: Any) -> None:
    """Runs a program that is killed as soon as it calls its function of that name.

    A new process: a fork of one that has used PyTorch's threads may wait for them forever.
    """
    code = KILLED.format(program=program, name=name)
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, env=ENV, capture_output=True, text=True, timeout=300)
    assert done.returncode == -signal.SIGKILL, done.stderr[-3000:]
