"""Programs in a process of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, List

ROOT = Path(__file__).parents[2]


def run_python(code: str) -> str:
    """Output of a program in a fresh process that finds the package under test, and no GPU."""
    script = Path("program.py").resolve()  # in the test's own folder
    script.write_text(code, encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(
        [sys.executable, str(script)], env=env, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


_WORKERS = """
import json, os, socket, subprocess, sys
if "TF_CONFIG" not in os.environ:
    sockets = [socket.socket() for _ in range(2)]
    for s in sockets:
        s.bind(("localhost", 0))
    hosts = ["localhost:%d" % s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    workers = []
    for index in range(2):
        task = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
        env = {**os.environ, "TF_CONFIG": json.dumps(task)}
        workers.append(subprocess.Popen([sys.executable, __file__], env=env, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    answers = [w.communicate(timeout=200) for w in workers]
    assert all(w.returncode == 0 for w in workers), answers
    print(json.dumps([json.loads(out.splitlines()[-1]) for out, _ in answers]))
    sys.exit()
import tensorflow as tf
strategy = tf.distribute.MultiWorkerMirroredStrategy()
"""


def run_two_workers(code: str) -> List[Any]:
    """What each of two processes prints last, as JSON, over this machine's loopback.

    The program finds `json`, `os`, `tf` and `strategy`, a MultiWorkerMirroredStrategy of the two.
    """
    answers: List[Any] = json.loads(run_python(_WORKERS + code).splitlines()[-1])
    return answers
