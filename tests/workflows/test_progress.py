"""What progress leaves behind in a log, and on a terminal."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

import merlin_popsampler
from tests.support.imports import imports_of

pytest.importorskip("tqdm")

ROOT = Path(__file__).parents[2]
# Two bars, one of which clears itself, over some seconds; then how long the process really took.
TWO_BARS = """
import sys, time
began = time.monotonic()
sys.path.insert(0, {folder!r})
import progress
progress.SECONDS = {seconds}
for name, leave in (("one", False), ("two", True)):
    with progress.bar(total=10_000, desc=name, leave=leave, mininterval=0.01) as steps:
        end = time.monotonic() + {duration}
        while time.monotonic() < end:
            steps.update()
            time.sleep(0.005)
print(time.monotonic() - began)
"""


def program(seconds, duration):
    code = TWO_BARS.format(folder=str(ROOT / "workflows"), seconds=seconds, duration=duration)
    return [sys.executable, "-c", code]


def lines_of(text):
    """What a log shows as a line: a carriage return ends one as well."""
    return [line for line in re.split("[\r\n]", text) if line.strip()]


def test_a_pipe_gets_one_line_an_interval():
    done = subprocess.run(program(0.5, 1.4), capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    lines = lines_of(done.stderr)
    assert 2 <= len(lines) <= float(done.stdout) / 0.5
    assert [line.split(":")[0] for line in lines] == sorted(line.split(":")[0] for line in lines)
    assert {line.split(":")[0] for line in lines} == {"one", "two"}
    assert all(re.fullmatch(r"\w+: .*\d+/10000 .*", line) for line in lines)
    assert done.stderr.count("\n") == len(lines)
    assert "\r" not in done.stderr


def test_steps_shorter_than_the_interval_share_it():
    done = subprocess.run(program(0.5, 0.3), capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert 1 <= len(lines_of(done.stderr)) <= float(done.stdout) / 0.5


def test_the_interval_is_ten_seconds_and_a_short_step_prints_none():
    done = subprocess.run(
        program("progress.SECONDS", 0.3), capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0
    assert float(done.stdout) < 10
    assert done.stderr == ""
    folder = str(ROOT / "workflows")
    code = f"import sys; sys.path.insert(0, {folder!r}); import progress; print(progress.SECONDS)"
    assert float(subprocess.check_output([sys.executable, "-c", code])) >= 10


def test_a_terminal_gets_a_bar():
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(program(10, 0.5), stderr=theirs, stdout=subprocess.DEVNULL)
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # Linux says so when the last writer is gone
            piece = b""
        if not piece:
            break
        shown += piece
    os.close(ours)
    assert process.wait(timeout=100) == 0
    assert shown.count(b"\r") > 10
    assert b"one:" in shown
    assert b"two:" in shown


def test_every_bar_is_made_in_one_place():
    folders = [ROOT / "workflows", ROOT / "benchmarks", Path(merlin_popsampler.__file__).parent]
    scripts = [path for folder in folders for path in folder.rglob("*.py")]
    assert {path.parent.name for path in scripts} >= {"workflows", "benchmarks", "core"}
    using = [
        path.name
        for path in scripts
        if "tqdm" in {name.split(".")[0] for name in imports_of(path.read_text(), path.stem)}
    ]
    assert using == ["progress.py"]
