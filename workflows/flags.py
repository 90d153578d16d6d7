"""Defines types of flags, and the common flags of the training programs, without a framework."""

import argparse
import io
import math
import sys
import tempfile
from pathlib import Path
from typing import Callable, Optional

from merlin_popsampler import PopSamplerError


def local_path(text: str) -> Path:
    """Parses a local path; `Path` alone would accept `s3://bucket` as a folder `s3:`.

    Raises:
      argparse.ArgumentTypeError: a URL.
    """
    if "://" in text or "::" in text:
        raise argparse.ArgumentTypeError(
            f"Expected a path on this machine. Received: {text!r}. Pass a local folder, and copy "
            "it from or to the other file system yourself."
        )
    return Path(text)


def whole(least: int, most: int = 2**53) -> Callable[[str], int]:
    """Returns a type of flags: whole numbers from `least` to `most`, both inclusive."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(
                f"Expected a whole number from {least} to {most}. Received: {text!r}."
            )
        return value

    return read


def positive(text: str) -> float:
    """Parses a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"Expected a finite number above 0. Received: {text!r}.")
    return value


seed_number = whole(0, 2**32 - 1)
"""Type of seeds that NumPy, TensorFlow and PyTorch all accept."""


def made(folder: Path) -> Path:
    """Creates the folder of `--output` before the work begins, and returns it.

    Raises:
      PopSamplerError: the folder cannot be created or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise PopSamplerError(
            f"Expected --output to be a folder that can be written. Received: {error}. "
            "Pass another folder."
        ) from None


def escape_output() -> None:
    """Escapes characters that the encoding of the output lacks, so that any pipe works."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def training_parser(description: Optional[str]) -> argparse.ArgumentParser:
    """Builds the parser of the common flags of the training programs."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=local_path, required=True, help="--output of preprocess.py")
    add("--output", type=local_path, required=True, help="folder for results.json and the models")
    add("--warm-start", type=local_path, help="--output of a run on the data before a refit")
    add("--epochs", type=whole(1), default=1000, help="limit for each model [%(default)s]")
    add("--minutes", type=positive, default=60, help="limit for each model [%(default)s]")
    add("--num-sampled", type=whole(1), default=1000, help="negatives of a batch [%(default)s]")
    add("--batch-size", type=whole(1), default=2048, help="positives of a batch [%(default)s]")
    add("--dim", type=whole(1), default=64, help="width of the item vectors [%(default)s]")
    add("--learning-rate", type=positive, default=0.01, help="initial rate of Adam [%(default)s]")
    add("--seed", type=seed_number, default=17, help="of weights, draws and order [%(default)s]")
    return parser


def comparison_parser(description: Optional[str]) -> argparse.ArgumentParser:
    """Builds the parser of the common flags of the programs that compare trainings."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "--data",
        type=local_path,
        nargs="+",
        required=True,
        help="outputs of preprocess.py, text files",
    )
    add("--output", type=local_path, required=True, help="folder of the results")
    add("--seed", type=seed_number, default=1, help="first seed [%(default)s]")
    add("--minutes", type=positive, default=60, help="limit for each run [%(default)s]")
    add("--batch-size", type=whole(1), default=2048, help="items of a batch, about [%(default)s]")
    add("--dim", type=whole(1), default=64, help="width of the item vectors [%(default)s]")
    add("--learning-rate", type=positive, default=3e-3, help="initial rate of Adam [%(default)s]")
    add("--threads", type=whole(1), default=1, help="CPU threads of each run [%(default)s]")
    return parser
