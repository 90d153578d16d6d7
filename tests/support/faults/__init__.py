"""Reads and applies deliberate faults: each is a patch, with the tests that notice it."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import List, Tuple

import merlin_popsampler

FOLDER = Path(__file__).parent
TESTS = FOLDER.parents[1]
PACKAGE = Path(merlin_popsampler.__file__).parent
_NOTICED = "Noticed by: "


@dataclass(frozen=True)
class Fault:
    """Describes one patch.

    Args:
      name: name of its file, which begins with the area.
      says: description of the fault.
      tests: test files or tests, of which at least one must fail.
    """

    name: str
    says: str
    tests: Tuple[str, ...]

    @property
    def patch(self) -> Path:
        """The file."""
        return FOLDER / f"{self.name}.patch"


def all_faults() -> List[Fault]:
    """Reads the heads of all patches."""
    return [_read(path) for path in sorted(FOLDER.glob("*.patch"))]


def copy_package(folder: Path) -> None:
    """Copies the package, with the times by which Python knows its compiled files."""
    shutil.copytree(PACKAGE, folder / PACKAGE.name)


def apply(fault: Fault, folder: Path, check: bool = False) -> None:
    """Applies a patch to a copy of the package.

    Args:
      fault: the fault.
      folder: holds the copy.
      check: whether only to ask if the patch applies.

    Raises:
      RuntimeError: the patch does not apply any more.
    """
    command = ["git", "apply", "-C1", *(["--check"] if check else []), str(fault.patch)]
    # Inside a repository, git would leave out what is not in the current folder.
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(folder.resolve().parent)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(
            f"Expected {fault.patch.name} to apply. Received: {done.stderr.strip()}. Put the same "
            "mistake into the code as it is now, and save the diff."
        )


def _read(path: Path) -> Fault:
    says, noticed, *_ = path.read_text(encoding="utf-8").splitlines()
    if not noticed.startswith(_NOTICED):
        raise ValueError(f"{path.name}: expected {_NOTICED!r} in the second line")
    return Fault(path.stem, says, tuple(noticed[len(_NOTICED) :].split()))
