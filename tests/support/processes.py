"""Runs programs in processes of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from threading import Timer
from typing import Any, List

ROOT = Path(__file__).parents[2]
OPERATORS = """
import sys
sys.modules["tensorflow"] = None  # saves the time of its import: no operator needs it
from merlin_popsampler import compat
compat.enable()
"""
"""Beginning of programs that run operators."""


def run_python(code: str) -> str:
    """Runs a program in a new process, without a GPU, and returns its output."""
    script = Path("program.py").resolve()  # in the test's own folder
    script.write_text(code, encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(
        [sys.executable, str(script)], env=env, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


_SERVE = """
import contextlib, io, json, os, runpy, sys, traceback
names = {}
exec(sys.argv[1], names)
for line in sys.stdin:
    program, error, printed = json.loads(line), "", io.StringIO()
    os.chdir(os.path.dirname(program))
    try:
        with contextlib.redirect_stdout(printed):
            runpy.run_path(program, init_globals=names)
    except BaseException:
        error = traceback.format_exc()
    print(json.dumps([printed.getvalue(), error]), flush=True)
"""


class Interpreter:
    """Runs programs one after the other in one process, which imports what they need once.

    Args:
      setup: runs first; each program finds the names that it leaves, and none of another program.
    """

    def __init__(self, setup: str) -> None:
        env = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1"}
        for threads in ("TF_NUM_INTEROP_THREADS", "TF_NUM_INTRAOP_THREADS"):
            env.pop(threads, None)  # one thread cannot run two replicas
        command = [sys.executable, "-W", "ignore", "-c", _SERVE, setup]
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen(command, env=env, **pipes)

    def run(self, code: str) -> str:
        """Runs a program and returns its output; an error of the program fails the test."""
        script = Path("program.py").resolve()  # in the test's own folder, for its tracebacks
        script.write_text(code, encoding="utf-8")
        assert self._process.stdin and self._process.stdout
        limit = Timer(240, self._process.kill)
        limit.start()
        print(json.dumps(str(script)), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        limit.cancel()
        assert answer, "the process has ended"
        printed, error = json.loads(answer)
        assert not error, error[-4000:]
        return str(printed)

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()


_WORKERS = """
import json, os, signal, socket, sys
import tensorflow as tf  # once, for both workers: forks of this process, which computes nothing
sockets = [socket.socket() for _ in range(2)]
for s in sockets:
    s.bind(("localhost", 0))
hosts = ["localhost:%d" % s.getsockname()[1] for s in sockets]
for s in sockets:
    s.close()
for index in range(2):
    if not os.fork():
        break
else:
    assert [os.wait()[1] for _ in range(2)] == [0, 0]
    sys.exit()
signal.alarm(200)
task = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
os.environ["TF_CONFIG"] = json.dumps(task)
strategy = tf.distribute.MultiWorkerMirroredStrategy()
"""


def run_two_workers(code: str) -> List[Any]:
    """Runs two processes on this machine, and returns their `answer`.

    The program finds `index`, `tf` and `strategy`, a MultiWorkerMirroredStrategy of the two.
    """
    end = '\nopen(f"answer{index}.json", "w").write(json.dumps(answer))\n'
    run_python(_WORKERS + code + end)
    return [json.loads(Path(f"answer{index}.json").read_text()) for index in range(2)]


_RANK = """
import json, os, sys
import torch
from torch import distributed

rank = int(sys.argv[1])
torch.set_num_threads(1)


def join_ranks():
    store = "file://" + os.path.abspath("store")
    distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=2)


"""


def run_two_ranks(code: str, folder: Path, join: bool = True) -> List[Any]:
    """Runs two processes of `torch.distributed`, and returns their `answer` as JSON.

    The program finds `json`, `os`, `torch`, `distributed`, and its `rank`. With `join=False` it
    calls `join_ranks()` itself.
    """
    start = "join_ranks()\n" if join else ""
    # Threads of Gloo outlive the group, and abort some processes in PyTorch 2.15 when Python ends.
    end = (
        '\nopen(f"answer{rank}.json", "w").write(json.dumps(answer))\n'
        "distributed.destroy_process_group()\n"
        "os._exit(0)\n"
    )
    (folder / "ranks.py").write_text(_RANK + start + code + end, encoding="utf-8")
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "CUDA_VISIBLE_DEVICES": "-1",
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
    }
    ranks = [
        subprocess.Popen(
            [sys.executable, "ranks.py", str(rank)],
            env=env,
            cwd=folder,
            text=True,
            stderr=subprocess.PIPE,
        )
        for rank in range(2)
    ]
    try:
        errors = [rank.communicate(timeout=220)[1] for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert all(rank.returncode == 0 for rank in ranks), [error[-4000:] for error in errors]
    return [json.loads((folder / f"answer{rank}.json").read_text()) for rank in range(2)]
