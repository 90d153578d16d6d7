"""Runs the programs of workflows/ outside of the test's process, and kills them in the middle."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Mapping, Sequence

import numpy as np
import pandas as pd

from tests.support.workflow_helpers import bytes_below

ROOT = Path(__file__).parents[2]
WORKFLOWS = ROOT / "workflows"
ENV = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(WORKFLOWS)])}
RUN = """
import importlib, json, os, signal, sys, traceback

def run(program, function, arguments):
    program = importlib.import_module(program)  # first: it prepares what it imports
    if function:
        module, _, name = function.rpartition(".")
        kill = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
        setattr(importlib.import_module(module), name, kill)
    program.main(arguments)
"""
SERVE = """
for name in sys.argv[1:]:
    importlib.import_module(name)
for line in sys.stdin:
    log, *what = json.loads(line)
    child = os.fork()
    if not child:
        for stream in (1, 2):
            os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
        try:
            run(*what)
            sys.stdout.flush()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    print(os.waitpid(child, 0)[1], flush=True)
"""


class Programs:
    """Runs programs in children of one process, which has imported what they need.

    That process computes nothing: a fork of one that has used PyTorch's threads may hang.

    Args:
      names: the programs, and modules that they import late.
      folder: where their output goes.
    """

    def __init__(self, names: Sequence[str], folder: Path) -> None:
        self.log = folder / "programs.log"
        command = [sys.executable, "-W", "ignore", "-c", RUN + SERVE, *names]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.server = subprocess.Popen(command, env=ENV, **pipes)

    def close(self) -> None:
        """Ends the process."""
        self.server.kill()
        self.server.communicate()

    def run(self, program: str, *arguments: Any, killed_at: str = "") -> None:
        """Runs a program, which must succeed, or kills it at its first call of a function."""
        asked = [str(self.log), program, killed_at, [*map(str, arguments)]]
        assert self.server.stdin and self.server.stdout
        print(json.dumps(asked), file=self.server.stdin, flush=True)
        status = self.server.stdout.readline().strip()
        expected = int(signal.SIGKILL) if killed_at else 0
        assert status == str(expected), (killed_at, self.log.read_text()[-3000:])

    def killed_then_run(
        self,
        program: str,
        kills: Mapping[str, Sequence[str]],
        *arguments: Any,
        output: Path,
        kept: Sequence[Path] = (),
    ) -> None:
        """Kills a program at each of some functions, then runs it into the same folder.

        Args:
          program: its name.
          kills: by function, what the program has written when it is called, of the names of all.
          arguments: the flags, but for the output.
          output: the folder of the results.
          kept: folders of the steps before, in which no byte may change.
        """
        before, arguments = [*map(bytes_below, kept)], (*arguments, "--output", output)
        made = {name for names in kills.values() for name in names}
        for function, names in kills.items():
            self.run(program, *arguments, killed_at=function)
            assert {name for name in made if (output / name).exists()} == {*names}, function
            assert [*map(bytes_below, kept)] == before, function
        self.run(program, *arguments)
        assert all((output / name).exists() for name in made)
        assert not list(output.glob("partial-*"))
        assert [*map(bytes_below, kept)] == before


def killed(program: str, function: str, *arguments: Any) -> None:
    """Runs a program in a new process, which is killed as soon as it calls a function.

    For TensorFlow, which a fork may hang.

    Args:
      program: its name.
      function: such as `train.fit`.
      arguments: its flags.
    """
    code = RUN + "run(*json.loads(sys.argv[1]))"
    what = json.dumps([program, function, [*map(str, arguments)]])
    command = [sys.executable, "-W", "ignore", "-c", code, what]
    done = subprocess.run(command, env=ENV, capture_output=True, text=True, timeout=500)
    assert done.returncode == -signal.SIGKILL, (function, done.stderr[-3000:])


def write_interactions(path: Path) -> None:
    """Writes sessions of growing groups of items."""
    rng = np.random.default_rng(17)
    rows = [
        (session, f"g{group}-{item}", session)
        for session in range(600)
        for group in rng.integers(5 + session // 100, size=1)
        for item in rng.choice(8, 4, replace=False)
    ]
    pd.DataFrame(rows, columns=["basket", "product", "when"]).to_csv(path, index=False)


def interactions(path: Path) -> Sequence[Any]:
    """Returns the flags of preprocess.py for these files."""
    columns = ("--user-col", "basket", "--item-col", "product", "--time-col", "when")
    return ("--data", path, *columns)
