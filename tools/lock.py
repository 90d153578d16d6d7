"""Compiles each environment's pins, constraints/NAME.txt, from constraints/NAME.in and extras.

  make lock                            keeps each pinned version that still fits
  make lock ARGS=--upgrade             takes the newest versions that fit
  make lock ARGS="torch --upgrade"     compiles one environment
  make lock ARGS=--check               compares pins with their inputs, without a network

`make lint` runs the check. Add a requirement to the .in file, or to the extra in pyproject.toml,
with the reason of each upper bound. constraints/build.txt has no input: it pins what source
packages are built with.
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Tuple

import tomllib
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
UV = ROOT / ".venv-lint/bin/uv"
FLAGS = ("--no-annotate", "--no-emit-index-url", "--python-platform", "x86_64-manylinux_2_28")


class Environment(NamedTuple):
    """Holds the oldest Python of the pins, and the extras of the package that are installed."""

    python: str
    extras: Tuple[str, ...] = ()


ENVIRONMENTS = {
    "merlin": Environment("3.11", ("dev",)),
    "merlin-py38": Environment("3.8", ("demo",)),
    "merlin-py313": Environment("3.12", ("dev",)),
    "keras3": Environment("3.11", ("nvtabular",)),
    "torch": Environment("3.11", ("nvtabular", "torch")),
    "mutants": Environment("3.11", ("nvtabular",)),
    "lint": Environment("3.11"),
    "docs": Environment("3.11"),
}


def origin(name: str) -> str:
    """Returns the header line that names the inputs of a file of pins."""
    extras = ",".join(ENVIRONMENTS[name].extras)
    package = f" and merlin-popsampler[{extras}]" if extras else ""
    return f"make lock, from constraints/{name}.in{package}"


def compile_pins(name: str, upgrade: bool) -> None:
    """Runs `uv pip compile`, which keeps the versions of an existing file."""
    environment = ENVIRONMENTS[name]
    inputs = [f"constraints/{name}.in"]
    if environment.extras:
        inputs += ["pyproject.toml", *(f"--extra={extra}" for extra in environment.extras)]
    metadata = Path(f"constraints/{name}.toml")
    if (ROOT / metadata).exists():
        inputs += ["--config-file", str(metadata)]
    if upgrade:
        inputs.append("--upgrade")
    command = [str(UV), "pip", "compile", "--quiet", *FLAGS, "--python-version", environment.python]
    command += ["--build-constraint", "constraints/build.txt", *inputs]
    command += ["--output-file", f"constraints/{name}.txt"]
    header = {"UV_CUSTOM_COMPILE_COMMAND": origin(name)}
    subprocess.run(command, cwd=ROOT, env={**os.environ, **header}, check=True)  # noqa: S603


def requirements(name: str) -> Iterator[Requirement]:
    """Returns the direct requirements of an environment, without those of its packages."""
    environment = ENVIRONMENTS[name]
    for line in (ROOT / f"constraints/{name}.in").read_text(encoding="utf-8").splitlines():
        if line.split("#")[0].strip():
            yield Requirement(line.split("#")[0].strip())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"]] if environment.extras else []
    extras = list(environment.extras)
    for extra in extras:
        for line in project["optional-dependencies"][extra]:
            if canonicalize_name(Requirement(line).name) == project["name"]:
                extras += Requirement(line).extras
            else:
                wanted.append(line)
    yield from map(Requirement, wanted)


def problems(name: str) -> List[str]:
    """Lists contradictions between the pins of an environment and its input."""
    text = (ROOT / f"constraints/{name}.txt").read_text(encoding="utf-8")
    found = []
    if origin(name) not in text:
        found.append(f"its header does not say {origin(name)!r}")
    if re.search(r"://|^-|[ =]/", text, re.MULTILINE):
        found.append("it names an index, an option or an absolute path")
    pins: Dict[str, str] = dict(re.findall(r"^([a-z0-9-]+)==(\S+)$", text, re.MULTILINE))
    python = {"python_version": ENVIRONMENTS[name].python, "sys_platform": "linux"}
    for requirement in requirements(name):
        pin = pins.get(canonicalize_name(requirement.name))
        if requirement.marker is not None and not requirement.marker.evaluate(python):
            continue
        if pin is None or not requirement.specifier.contains(pin, prereleases=True):
            found.append(f"it asks for {requirement}, and pins {pin}")
    return found


def check() -> List[str]:
    """Lists the problems of all environments."""
    files = {path.stem for path in (ROOT / "constraints").glob("*.txt")} - {"build"}
    found = [f"constraints/{name}.txt has no input" for name in files - set(ENVIRONMENTS)]
    return found + [
        f"constraints/{name}.txt: {problem}" for name in ENVIRONMENTS for problem in problems(name)
    ]


def main() -> None:
    """Compiles or checks, as the command line asks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("environments", nargs="*", metavar="NAME", help=", ".join(ENVIRONMENTS))
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that fit")
    parser.add_argument("--check", action="store_true", help="compile nothing")
    options = parser.parse_args()
    unknown = set(options.environments) - set(ENVIRONMENTS)
    if unknown:
        parser.error(f"expected names of {list(ENVIRONMENTS)}, received {sorted(unknown)}")
    if not options.check:
        for name in options.environments or ENVIRONMENTS:
            print(f"constraints/{name}.txt")
            compile_pins(name, options.upgrade)
    found = check()
    print(*found, sep="\n", file=sys.stderr) if found else print("The pins fit their inputs.")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
