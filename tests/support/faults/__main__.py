"""Puts each deliberate fault into a copy of the package, and runs the tests that must notice it.

  python -m tests.support.faults                    those whose tests this environment runs
  python -m tests.support.faults core_plan tf_mask  these, or all whose names begin so

The tests that fail with a fault must pass without it. The exit status is 0 if each is noticed.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import List, Sequence

from tests.support.faults import FOLDER, TESTS, Fault, all_faults, apply, copy_package

_FAILED = 1
"""Exit status of pytest if tests have failed; another status means that none has run."""
_ONE_CORE = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="beginnings of the names of faults")
    names = parser.parse_args().names
    faults = all_faults()
    unknown = [name for name in names if not any(f.name.startswith(name) for f in faults)]
    if unknown:
        parser.error(f"Expected beginnings of names in {FOLDER}. Received: {unknown}.")
    chosen = [fault for fault in faults if _is_chosen(fault, names)]
    with tempfile.TemporaryDirectory() as folder:
        clean = _copy(Path(folder) / "clean")
        noticing, missed = [], []
        for fault in chosen:
            start = time.perf_counter()
            failed = _failing_tests(fault, Path(folder) / fault.name)
            taken = time.perf_counter() - start
            print(f"{fault.name:24} {taken:5.1f} s  {failed or 'NOT NOTICED'}", flush=True)
            noticing += failed
            missed += [] if failed else [fault.name]
        by_chance = bool(noticing) and bool(_run(clean, noticing).returncode)
    print(f"{len(chosen) - len(missed)} of {len(chosen)} faults were noticed.")
    if by_chance:
        print("A test that noticed a fault also fails without it: run it by itself.")
    return int(bool(missed) or by_chance)


def _is_chosen(fault: Fault, names: Sequence[str]) -> bool:
    """Tests whether a fault is selected, and whether this environment can run its tests."""
    in_torch = any(test.startswith("tests/torch_") for test in fault.tests)
    here = in_torch == (find_spec("torch") is not None)
    return here and (not names or fault.name.startswith(tuple(names)))


def _failing_tests(fault: Fault, folder: Path) -> List[str]:
    """Returns the first test that fails with the fault; nothing if none does."""
    _copy(folder)
    apply(fault, folder)
    done = _run(folder, fault.tests)
    if done.returncode not in (0, _FAILED):
        raise SystemExit(f"{fault.name}: the tests did not run.\n{done.stdout}{done.stderr}")
    found = folder / ".failed/v/cache/lastfailed"
    failed = list(json.loads(found.read_text())) if done.returncode else []
    shutil.rmtree(folder)
    return failed


def _copy(folder: Path) -> Path:
    """Copies what the tests import and read."""
    folder.mkdir()
    copy_package(folder)
    shutil.copytree(TESTS, folder / "tests")
    shutil.copy(TESTS.parent / "pyproject.toml", folder)
    return folder


def _run(folder: Path, tests: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-o", "cache_dir=.failed", *tests]
    one_core = dict.fromkeys(_ONE_CORE, "1")
    environment = {**os.environ, **one_core, "PYTHONPATH": str(folder)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


if __name__ == "__main__":
    sys.exit(main())
