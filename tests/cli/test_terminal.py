"""Tests output to terminals, pipes and closed streams, which never changes the exit code."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from merlin_popsampler.cli.commands import main
from merlin_popsampler.cli.terminal import printable, say
from tests.support.workflow_helpers import saved

pytestmark = pytest.mark.filterwarnings("ignore")

ROOT = Path(__file__).parents[2]
KEYS = {
    "café": "café",
    "日本": "日本",
    "שלום": "שלום",
    "wipe\x1b[2J": r"wipe\x1b[2J",
    "two\r\nlines\tand tabs": r"two\r\nlines\tand tabs",
    "back\u202eward": r"back\u202eward",
    "no\u200bwidth\xa0": r"no\u200bwidth\xa0",
    "\x9b31m": r"\x9b31m",
    "item_5": "item_5",
}
"""Keys, and their form in a stream that can represent every letter."""


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    """Returns two fits; from the first to the second, each key becomes equally rarer."""
    folder, rest = tmp_path_factory.mktemp("moved"), [f"r{n}" for n in range(40)] * 10
    sides = []
    for name, times in (("old", 300), ("new", 5)):
        keys = [key for key in KEYS for _ in range(times)]
        sides.append(str(saved(keys + rest, folder / name) / "workflow"))
    return sides


def run(*arguments, **options):
    """Runs a command in a process of its own."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": 120, **options}
    env = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
    command = [sys.executable, "-m", "merlin_popsampler", *arguments]
    return subprocess.run(command, env=env, **options)


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "ascii", "utf-16"])
def test_keys_are_escaped_where_the_stream_cannot_hold_them(moved, encoding, monkeypatch):
    """Regression: `compare` ended with a traceback, and exit code 2 for 1.

    Cases: keys and names of columns, tables and notes and errors, every encoding; what
    acts on a terminal (escape sequences, carriage returns, marks of writing direction, characters
    without width); underscores of keys, which became blanks.
    """
    monkeypatch.setattr("merlin_popsampler.cli.compare._NAMED", len(KEYS))
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(["compare", *moved]) == 1
    printed = stream.buffer.getvalue().decode(encoding)
    rows = printed.splitlines()[-len(KEYS) :]
    shown = {row[len("expected ") :].rsplit("0.", 2)[0].strip() for row in rows}
    assert shown == {
        key.encode(encoding, "backslashreplace").decode(encoding) for key in KEYS.values()
    }
    assert set(filter(lambda c: not c.isprintable(), printed)) == {"\n"}


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_pipe_of_another_encoding_leaves_the_exit_code(moved, encoding):
    done = run("compare", *moved, env={"PYTHONIOENCODING": encoding})
    assert (done.returncode, done.stderr) == (1, b"")
    assert rb"two\r\nlines" in done.stdout
    done.stdout.decode(encoding)


def test_json_holds_the_keys_themselves(moved, capsys):
    assert main(["compare", *moved, "--json"]) == 1
    assert {item["key"] for item in json.loads(capsys.readouterr().out)["most_off"]} <= set(KEYS)


@pytest.mark.parametrize("name", ["\ud800 alone", "bell\x07", "us$_price_$^", "ligne\u2028deux"])
def test_names_of_columns_are_shown_escaped(tmp_path, name, capsys):
    """A schema file may hold any name, even a lone surrogate."""
    feature = {
        "name": name,
        "type": "INT",
        "intDomain": {"min": 0, "max": 9, "isCategorical": True},
        "annotation": {
            "tag": ["item_id"],
            "extraMetadata": [{"cat_path": "x", "max_size": 0, "num_buckets": 1, "start_index": 1}],
        },
    }
    path = tmp_path / "schema.json"
    path.write_text(json.dumps({"feature": [feature]}))
    main(["inspect", str(path)])
    printed = capsys.readouterr()
    assert printable(name) in printed.out + printed.err
    assert set(filter(lambda c: not c.isprintable(), printed.out + printed.err)) <= {"\n"}


def test_printable():
    assert printable("tea \x00\x7f\udc80\u2066\U000e0001") == (
        r"tea \x00\x7f\udc80\u2066\U000e0001"
    )
    assert printable("Ünï, 日本, שלום, 😀, \\n") == "Ünï, 日本, שלום, 😀, \\n"
    assert printable(17) == "17"


_ENDS = """
import atexit, os, runpy, sys

class Aborts:
    def __del__(self, abort=os.abort):
        abort()

aborts = Aborts()  # when the interpreter ends, after all functions of atexit
print("printed by another library")
atexit.register(os.rmdir, {folder!r})
sys.argv[0] = "merlin_popsampler"
runpy.run_module("merlin_popsampler", run_name="__main__")
"""


@pytest.mark.parametrize(("new", "code"), [(0, 0), (1, 1)])
def test_a_library_that_aborts_at_exit_leaves_the_exit_code(moved, new, code, tmp_path):
    """Regression: Arrow's threads ended one command in twenty with exit code 134.

    Matplotlib and fsspec remove their temporary folders at exit.
    """
    folder = tmp_path / "temporary"
    folder.mkdir()
    program = _ENDS.format(folder=str(folder))
    command = [sys.executable, "-c", program, "compare", moved[0], moved[new]]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=env, capture_output=True, timeout=120)
    assert (done.returncode, done.stderr) == (code, b"")
    assert done.stdout.startswith(b"printed by another library")
    assert not folder.exists()


# ------------------------------------------------------------------ closed pipes


@pytest.mark.parametrize(("new", "code"), [(0, 0), (1, 1)])
def test_a_pipe_that_closes_early_is_not_an_error(moved, new, code):
    """Regression: `compare ... | true` ended with BrokenPipeError.

    Cases: both commands, tables and JSON, `--help`, errors to a pipe without a reader,
    closed streams (`>&-`), a full disk.
    """
    for arguments in (
        ["compare", moved[0], moved[new]],
        ["compare", moved[0], moved[new], "--json"],
    ):
        done = _without_reader(*arguments)
        assert (done.returncode, done.stderr) == (code, b"")


def test_help_and_reports_to_a_reader_that_left(moved, tmp_path):
    for arguments in (["--help"], ["compare", "--help"], ["inspect", moved[0]]):
        done = _without_reader(*arguments)
        assert (done.returncode, done.stderr) == (0, b"")
    picture = tmp_path / "out.png"
    assert _without_reader("inspect", moved[0], "--plot", str(picture)).returncode == 0
    assert picture.exists()


def test_an_error_without_a_reader_keeps_its_exit_code():
    done = _without_reader("inspect", "nowhere", of="stderr")
    assert (done.returncode, done.stdout) == (2, b"")


def _without_reader(*arguments, of="stdout"):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return run(*arguments, **{of: writer})
    finally:
        os.close(writer)


@pytest.mark.parametrize("closed", [(1,), (2,), (1, 2)])
def test_closed_streams_leave_the_exit_code(moved, closed):
    """Python then has no such stream, and `print` would write to the other one."""
    shut = {"preexec_fn": lambda: [os.close(number) for number in closed]}
    for arguments, code in ((moved, 1), (["nowhere", "nowhere"], 2)):
        done = run("compare", *arguments, **shut)
        assert done.returncode == code
        assert b"Traceback" not in done.stdout + done.stderr
        assert b"error" not in done.stdout


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_a_full_disk_is_an_error(moved):
    with open("/dev/full", "w") as full:
        done = run("compare", *moved, stdout=full)
    assert (done.returncode, done.stderr) == (2, b"error: [Errno 28] No space left on device\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_an_error_that_cannot_be_written_is_an_error(moved):
    """Regression: the exit code was 1, which says that the popularity has moved."""
    with open("/dev/full", "w") as full:
        assert run("compare", *moved, stdout=full, stderr=full).returncode == 2
        assert run("compare", "nowhere", "nowhere", stderr=full).returncode == 2
        done = run("--help", stdout=full)
    assert (done.returncode, done.stderr) == (2, b"error: [Errno 28] No space left on device\n")


def test_a_stream_that_fails_is_reported():
    class Failing(io.StringIO):
        def write(self, text):
            raise OSError("no more")

        def fileno(self):
            return copy

    copy = os.dup(1)
    try:
        with pytest.raises(OSError, match="no more"):
            say("tea", Failing())
    finally:
        os.close(copy)


INTERRUPTED = """
import runpy, signal, sys
from merlin_popsampler.cli import commands
commands.read_column_report = lambda *_, **__: signal.raise_signal(signal.SIGINT)
runpy.run_module("merlin_popsampler", run_name="__main__")
"""


def test_ctrl_c_ends_a_command_without_a_traceback(moved):
    """The signal ends the process, so that a loop in the shell ends too."""
    command = [sys.executable, "-c", INTERRUPTED, "inspect", moved[0]]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=env, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


# ------------------------------------------------------------------ flags


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "-0.1", "1.5", "10", "ten", ""])
def test_a_drift_that_cannot_be_is_refused(moved, value, capsys):
    """Regression: `--max-tv nan` found no drift in anything, and neither did 10 for 10 %."""
    with pytest.raises(SystemExit) as end:
        main(["compare", *moved, f"--max-tv={value}"])
    assert end.value.code == 2
    assert (
        f"from 0 (equal) to 1 (nothing in common). Received: {value!r}" in capsys.readouterr().err
    )


@pytest.mark.parametrize("value", ["0", "1"])
def test_the_ends_of_the_range_are_allowed(moved, value):
    assert main(["compare", *moved, "--max-tv", value]) == int(value == "0")
    assert main(["compare", *moved[:1] * 2, "--max-tv", value]) == 0


@pytest.mark.parametrize("value", ["0", "-5", "nan", "2.5"])
@pytest.mark.parametrize("command", ["inspect", "compare"])
def test_numbers_of_draws_are_checked_also_where_nothing_is_drawn(moved, command, value, capsys):
    paths = moved if command == "compare" else moved[:1]
    with pytest.raises(SystemExit) as end:
        main([command, *paths, f"--num-sampled={value}"])
    assert end.value.code == 2
    assert "Expected a whole number of 1 or more" in capsys.readouterr().err
