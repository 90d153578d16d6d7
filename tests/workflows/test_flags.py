"""Tests flags of the programs: local paths, output folders, valid numbers."""

import argparse
import io
import os
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from merlin_popsampler import PopSamplerError

sys.path.insert(0, str(Path(__file__).parents[2] / "workflows"))

import flags

DATA = ("--data", "in")
NEEDS = {
    "preprocess": ("nvtabular", ()),
    "train": ("merlin.models.tf", DATA),
    "compare_stopping": ("torch", DATA),
    "compare_negatives": ("torch", DATA),
    "compare_distributions": ("tensorflow", ()),
    "train_torch": ("torch", DATA),
}
"""Each program, the package that it imports, and its required flags."""


def found(package):
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False


PROGRAMS = {name: required for name, (package, required) in NEEDS.items() if found(package)}
PATHS = [(name, "--output") for name in PROGRAMS]
PATHS += [(name, "--data") for name in PROGRAMS if name != "preprocess"]  # it reads URLs


def refused(program, arguments, capsys):
    """Returns the error of a program that refuses its flags before it does anything."""
    module = import_module(program)
    required = ("--output", "out", *PROGRAMS[program])
    with pytest.raises(SystemExit) as end:
        module.main([*required, *arguments])
    assert end.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("url", ["s3://bucket/out", "file:///tmp/out", "memory://out", "/d/x::1"])
@pytest.mark.parametrize(("program", "flag"), PATHS)
def test_urls_are_refused(program, flag, url, tmp_path, monkeypatch, capsys):
    """Regression: `--output s3://bucket/out` wrote into a local folder `s3:/bucket/out`.

    Cases: every flag of a path of every program, and `--plot` of the command line,
    which writes to any file system. (`--data` and `--items` of preprocess.py read URLs.)
    """
    monkeypatch.chdir(tmp_path)
    said = refused(program, [flag, url], capsys)
    assert f"argument {flag}: Expected a path on this machine. Received: {url!r}" in said
    assert list(tmp_path.iterdir()) == []


NONSENSE = {
    "preprocess": {"--min-count": "0", "--max-len": "1", "--seed": "-1", "--valid-share": "nan"},
    "train": {
        **dict.fromkeys(("--epochs", "--num-sampled", "--batch-size", "--dim"), "0"),
        "--minutes": "nan",
        "--learning-rate": "inf",
        "--seed": str(2**32),
    },
    "compare_stopping": {"--epochs": "-3", "--seeds": "1", "--learning-rate": "nan"},
    "compare_negatives": {
        "--num-sampled": "1",
        "--seeds": "0",
        "--jobs": "0",
        "--threads": "0",
        "--seed": "-1",
    },
    "compare_distributions": {
        "--num-sampled": "2001",
        **dict.fromkeys(("--seeds", "--steps", "--demo-seeds", "--epochs"), "0"),
    },
}
NONSENSE["train_torch"] = NONSENSE["train"]


@pytest.mark.parametrize(
    ("program", "flag", "value"),
    [(name, flag, value) for name in PROGRAMS for flag, value in NONSENSE[name].items()],
)
def test_numbers_that_cannot_be_are_refused(program, flag, value, tmp_path, monkeypatch, capsys):
    """A learning rate of NaN, for example, would waste hours, and end in zeros."""
    monkeypatch.chdir(tmp_path)
    said = refused(program, [f"{flag}={value}"], capsys)
    assert flag in said.splitlines()[-1]
    assert "Expected" in said
    assert value in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        (flags.whole(2, 5), ["2", "5"], ["1", "6", "2.0", "nan", "", "two"]),
        (flags.positive, ["1e-300", "3"], ["0", "-1", "nan", "inf", "-inf", "", "one"]),
        (flags.seed_number, ["0", str(2**32 - 1)], ["-1", str(2**32), "0.5"]),
        (flags.local_path, ["out", "/a/b c", "C:/out", "a:b"], ["s3://b/c", "zip://a::/b"]),
    ],
)
def test_types_of_flags(kind, right, wrong):
    for text in right:
        assert str(kind(text)) == text or float(kind(text)) == float(text)
    for text in wrong:
        with pytest.raises(argparse.ArgumentTypeError, match="Received: " + repr(text)[:4]):
            kind(text)


def test_a_folder_is_made_before_the_work_begins(tmp_path):
    assert flags.made(tmp_path / "a" / "b").is_dir()
    assert flags.made(tmp_path / "a") == tmp_path / "a"
    assert list((tmp_path / "a" / "b").iterdir()) == []


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_output_that_cannot_be_written_ends_a_program_at_once(program, tmp_path):
    """Cases: a file in its place, a file above it, a folder of the system."""
    (tmp_path / "file").write_text("here")
    for output in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nothing")):
        with pytest.raises(PopSamplerError, match="folder that can be written"):
            flags.made(output)
    with pytest.raises(SystemExit, match=f"{program}.py: Expected --output to be a folder"):
        import_module(program).main(["--output", str(tmp_path / "file"), *PROGRAMS[program]])


def test_names_are_printed_to_any_pipe(monkeypatch):
    """Regression: names of files and columns in a pipe of ascii."""
    stream = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    flags.escape_output()
    print("café", os.fsdecode(b"caf\xe9"), flush=True)
    assert stream.buffer.getvalue() == b"caf\\xe9 caf\\udce9\n"
    monkeypatch.setattr(sys, "stdout", None)
    flags.escape_output()
