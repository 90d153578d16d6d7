"""Runs each install line of README.md and docs/installing.md in a fresh environment, and draws.

Every environment must draw the ids of tests/golden/samplers.json from one seed, by NumPy and by
each framework that the line installs. A line that promises a range of versions is also run with the
first of them on its first Python, and with the last on its last. `make installs` runs all lines by
uv, by the pip that comes with the Python, and by the newest pip. This takes hours:
`ARGS="--lines torch --pythons 3.8 3.13 --installers uv"` selects. The table goes to
out/installs.md.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional

ROOT = Path(__file__).parents[1]
MINORS = range(8, 14)
_ROW = re.compile(r"\| ([^|]+) \| 3\.(\d+) to 3\.(\d+) \| `(?:uv )?(pip install '\.\[(\w+)\]')` \|")
_RANGE = re.compile(r"(\d+\.\d+) to (\d+\.\d+)")
_STEPS = re.compile(r"```sh\nuv (pip install .*)\nuv (pip install .*)\n```")
NEEDS = {
    "bare": [],
    "torch": ["torch"],
    "tensorflow": ["tensorflow"],
    "nvtabular": ["nvtabular"],
    "models": ["tensorflow", "nvtabular", "merlin.models.tf"],
}
INSTALLERS = ("uv", "pip", "newest-pip")
PIP_FOR_MERLIN = "pip<26.3"


class Line(NamedTuple):
    """Holds an install command, and the Pythons that it is for."""

    name: str
    commands: List[str]
    minors: List[int]
    installs: str
    """What it installs, a key of `NEEDS`."""


def documented_lines() -> List[Line]:
    """Returns the commands of both pages, those at the ends of ranges, and the package alone."""
    pages = [ROOT / "README.md", ROOT / "docs" / "installing.md"]
    readme, installing = (page.read_text(encoding="utf-8") for page in pages)
    rows = dict.fromkeys(row[1:] for row in _ROW.findall(readme + installing))
    lines = [Line("bare", ["pip install ."], list(MINORS), "bare")]
    for first, last, command, extra in rows:
        minors = list(range(int(first), int(last) + 1))
        lines.append(Line(extra, [command], minors, extra))
    for use, first, last, command, extra in _ROW.findall(installing):
        for versions in _RANGE.findall(use):
            for version, minor in zip(versions, (first, last)):
                pinned = f"{command} '{extra}=={version}.*'"
                lines.append(Line(f"{extra}-{version}", [pinned], [int(minor)], extra))
    (steps,) = _STEPS.findall(installing)
    return [*lines, Line("two-steps", list(steps), [12, 13], "models")]


def interpreters() -> Dict[int, str]:
    """Returns a working interpreter for each minor version, from PATH first, then from pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found: Dict[int, str] = {}
    for minor in MINORS:
        places = [f"python3.{minor}", *map(str, pyenv.glob(f"3.{minor}.*/bin/python"))]
        for place in places:
            if _runs(place):
                found[minor] = place
                break
    return found


def _runs(python: str) -> bool:
    try:
        done = subprocess.run([python, "-c", ""], capture_output=True, check=False)  # noqa: S603
    except OSError:
        return False
    return done.returncode == 0


def tried(line: Line, python: str, installer: str, uv: str) -> Optional[str]:
    """Returns None if the environment draws the golden ids, otherwise the last line of output."""
    with tempfile.TemporaryDirectory(prefix="installs-") as folder:
        own = f"{folder}/venv/bin/python"
        if installer == "uv":
            steps = [f"{uv} venv --quiet --python {python} {folder}/venv"]
            pip = f"{uv} pip install --quiet --python {own}"
        else:
            steps = [f"{python} -m venv {folder}/venv"]
            pip = f"{own} -m pip install --quiet --disable-pip-version-check"
            if installer == "newest-pip":
                steps.append(f"{pip} --upgrade pip")
            if line.installs in ("nvtabular", "models"):
                steps.append(f"{pip} '{PIP_FOR_MERLIN}'")
        steps += [command.replace("pip install", pip, 1) for command in line.commands]
        check = ROOT / "tools" / "installs_check.py"
        golden = ROOT / "tests" / "golden" / "samplers.json"
        needs = " ".join(NEEDS[line.installs])
        steps.append(f"cd {folder} && {own} -W ignore {check} {golden} {needs}")
        env = {name: value for name, value in os.environ.items() if name not in _UNSET}
        for step in steps:
            done = subprocess.run(  # noqa: S602 - lines as a user types them, from our own page
                step, shell=True, cwd=ROOT, env=env, capture_output=True, text=True, check=False
            )
            if done.returncode:
                said = (done.stdout + done.stderr).strip().splitlines() or ["nothing was printed"]
                return said[-1]
    return None


_UNSET = {"VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "PYTHON"}


def rows(options: argparse.Namespace) -> Iterator[List[str]]:
    """Yields a row for each command, Python and installer, once it has run."""
    pythons = interpreters()
    for line in documented_lines():
        if options.lines and line.name not in options.lines:
            continue
        for minor in line.minors:
            version = f"3.{minor}"
            if options.pythons and version not in options.pythons:
                continue
            for installer in options.installers:
                began = time.monotonic()
                if minor not in pythons:
                    answer: Optional[str] = "no such Python here"
                else:
                    answer = tried(line, pythons[minor], installer, options.uv)
                took = f"{time.monotonic() - began:.0f} s"
                yield [line.name, version, installer, answer or "same ids", took]


def main() -> int:
    """Prints and writes the table; returns 1 if a command fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--lines", nargs="+", metavar="NAME", help="bare, an extra, torch-2.4, two-steps"
    )
    parser.add_argument("--pythons", nargs="+", metavar="3.N")
    parser.add_argument("--installers", nargs="+", default=INSTALLERS, choices=INSTALLERS)
    parser.add_argument("--uv", default="uv", help="the uv to install with")
    parser.add_argument("--output", type=Path, default=Path("out"))
    options = parser.parse_args()
    table = ["| line | Python | installer | result | time |", "|---|---|---|---|---|"]
    failed = False
    for row in rows(options):
        table.append("| " + " | ".join(row) + " |")
        print(table[-1], flush=True)
        failed |= row[3] not in ("same ids", "no such Python here")
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "installs.md").write_text("\n".join(table) + "\n", encoding="utf-8")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
