"""Mutation testing: changes the code in one place at a time and asks whether the tests notice.

  make mutants                                    every module of MODULES, two processes
  make mutants ARGS="core/domain.py core/popularity_curve.py"    these only, each one of MODULES
  make mutants WORKERS=4                          four processes

The changes are those of mutmut, number and string literals, messages (what is raised) and
annotations left alone, plus each `if` turned round. What is mutated stands in MODULES, what judges
it is the tests' folder of the same name: first the test file of the module's own name, then the
rest of the folder. The result is `out/mutants/report.md`, the survivors by file and function; the
exit status is 0 unless the run itself failed, so the tests must pass on the unchanged code. The
report is written anew every minute: a run that is stopped leaves what it has found.

mutmut's own runner is not used: it mutates no property (`IdDomain.size`), and it cannot leave the
literals out. This one forks a process for each mutant after everything foreign has been imported,
NVTabular among it, which takes longer than most tests do. Its environment has no TensorFlow: a test
that needs it must say so (`pytest.importorskip`) and judges nothing here.
"""

import argparse
import ast
import difflib
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, Iterator, List, Tuple

import hypothesis
import libcst as cst
import pytest
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.file_mutation import NEVER_MUTATE_FUNCTION_CALLS
from mutmut.mutation.mutators import mutation_operators, operator_number, operator_string

# Files of merlin_popsampler/, or one class or function of such a file.
MODULES = (
    "contract/metadata.py",
    "contract/sampler_settings.py",
    "contract/schema.py",
    "core/checks.py",
    "core/domain.py",
    "core/distributions.py",
    "core/segments.py",
    "core/expected_counts.py::ExpectedCounts",
    "core/popularity_curve.py",
)
# Tests of how long something takes: a mutant that only computes less would fail or pass by chance.
NO_JUDGES = ("tests/core/test_steps.py::test_a_million_counts_take_a_moment",)

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "merlin_popsampler"
READ_BY_TESTS = (PACKAGE, "tests", "pyproject.toml", "README.md", "Makefile")
KILLED, SURVIVED, TIMEOUT = "killed", "survived", "timeout"
_MEMORY = 8 << 30
"""Bytes of address space of a mutant; a list that never stops growing ends there."""


@dataclass
class Mutant:
    """One change: the whole mutated file, and how the change reads."""

    module: str
    function: str
    line: int
    change: str
    source: str = field(repr=False)
    outcome: str = ""


class _Sites(cst.CSTVisitor):
    """Every node that may be mutated, inside functions, with what it may become."""

    METADATA_DEPENDENCIES = (PositionProvider,)
    LEFT_ALONE = (cst.Annotation, cst.Decorator, cst.Raise, cst.FormattedString)

    def __init__(self, only: str) -> None:
        super().__init__()
        self.only = only
        self.path: List[cst.CSTNode] = []
        self.found: List[Tuple[str, int, cst.CSTNode, cst.CSTNode]] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, self.LEFT_ALONE) or _names_a_type(node):
            return False
        if isinstance(node, (cst.ClassDef, cst.FunctionDef)):
            if self.only and not self.path and node.name.value != self.only:
                return False
            self.path.append(node)
        elif any(isinstance(outer, cst.FunctionDef) for outer in self.path):
            function = ".".join(outer.name.value for outer in self.path)
            line = self.get_metadata(PositionProvider, node).start.line
            self.found += [(function, line, node, other) for other in _others(node)]
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:
        if self.path and self.path[-1] is original_node:
            self.path.pop()


def _names_a_type(node: cst.CSTNode) -> bool:
    """`len(x)` and `isinstance(x, y)`, which mutmut leaves alone too: the mutants only crash."""
    return (
        isinstance(node, cst.Call)
        and isinstance(node.func, cst.Name)
        and node.func.value in NEVER_MUTATE_FUNCTION_CALLS
    )


def _others(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """What a node may become."""
    if isinstance(node, cst.UnaryOperation) and isinstance(node.expression, cst.BaseNumber):
        return  # the sign of a number literal
    for kind, operator in mutation_operators:
        if operator not in (operator_number, operator_string) and isinstance(node, kind):
            yield from operator(node)
    if isinstance(node, cst.If):
        inside = node.test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
        turned = cst.UnaryOperation(cst.Not(), inside)
        yield node.with_changes(test=turned, whitespace_before_test=cst.SimpleWhitespace(" "))


def mutants(module: str) -> List[Mutant]:
    """Every mutant of one of MODULES that is Python and another program."""
    name, _, only = module.partition("::")
    source = (ROOT / PACKAGE / name).read_text(encoding="utf-8")
    wrapper = MetadataWrapper(cst.parse_module(source))
    sites = _Sites(only)
    wrapper.visit(sites)
    if not sites.found:
        raise SystemExit(f"Expected code to mutate in {module}. Received: none. Correct MODULES.")
    seen = {ast.dump(ast.parse(source))}
    found = []
    for function, line, node, other in sites.found:
        code = wrapper.module.deep_replace(node, other).code
        try:
            tree = ast.dump(ast.parse(code))
        except SyntaxError:  # an argument dropped before a keyword's
            continue
        if tree not in seen:
            seen.add(tree)
            found.append(Mutant(name, function, line, _change(source, code), code))
    return found


def _change(before: str, after: str) -> str:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return "\n".join(line for line in lines if not line.startswith(("---", "+++", "@@")))


class _Quick:
    """Hypothesis looks for one failing example and does not make it smaller."""

    def pytest_sessionstart(self) -> None:
        hypothesis.settings.register_profile(
            "mutants",
            hypothesis.settings.get_profile(hypothesis.settings.get_current_profile_name()),
            phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
            report_multiple_bugs=False,
        )
        hypothesis.settings.load_profile("mutants")


@dataclass
class Judges:
    """Arguments that make pytest run a module's own test file, the rest of its folder, both."""

    own: List[str]
    rest: List[str]
    folder: List[str]

    @classmethod
    def of(cls, module: str) -> "Judges":
        """By the layout: `core/tables.py` has `tests/core/test_tables.py`, or only a folder."""
        path = Path(module)
        folder = Path("tests") / path.parent
        file = folder / f"test_{path.name}"
        if not (ROOT / file).exists():
            return cls([], [str(folder)], [str(folder)])
        return cls([str(file)], [str(folder), f"--ignore={file}"], [str(folder)])


def start(folder: Path, judges: List[str], limit: int, log: Path, quiet: bool = True) -> int:
    """Forks a process that runs tests in a copy of the checkout; returns its number."""
    sys.stdout.flush()
    process = os.fork()
    if process:
        return process
    status = 3
    try:
        os.chdir(folder)
        with open(log, "w", encoding="utf-8") as stream:
            os.dup2(stream.fileno(), 1)
            os.dup2(stream.fileno(), 2)
        if limit:
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        sys.dont_write_bytecode = quiet
        options = ["-x", "-q", "-p", "no:cacheprovider", f"--basetemp={folder}.tmp"]
        options += [f"--deselect={test}" for test in NO_JUDGES]
        status = int(pytest.main([*options, *judges], plugins=[_Quick()]))
    finally:
        sys.stdout.flush()
        os._exit(status)


def seconds_of(folder: Path, judges: List[str]) -> float:
    """Processor time of tests on the unchanged code, which they must pass."""
    log = folder.parent / "baseline.log"
    _, status, usage = os.wait4(start(folder, judges, 0, log, quiet=False), 0)
    if status:
        print(log.read_text(encoding="utf-8")[-4000:])
        raise SystemExit(f"Expected {' '.join(judges)} to pass on the unchanged code (see above).")
    return usage.ru_utime + usage.ru_stime


def _outcome(status: int) -> str:
    """What the end of a mutant's process means."""
    if os.WIFSIGNALED(status):
        return TIMEOUT if os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL) else KILLED
    code = os.WEXITSTATUS(status)
    if code in (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise SystemExit(f"Expected tests to run. Received: pytest's exit status {code}.")
    return KILLED if code else SURVIVED


class Run:
    """Mutants waiting, running and judged, in copies of `work / "clean"`, one for each process."""

    def __init__(self, waiting: List[Mutant], work: Path, workers: int, output: Path) -> None:
        self.work = work
        self.all = waiting
        self.output = output
        self.began = time.monotonic()
        self.waiting = waiting[::-1]
        self.judges = {mutant.module: Judges.of(mutant.module) for mutant in waiting}
        folders = {tuple(judges.folder) for judges in self.judges.values()}
        whole = {folder: seconds_of(work / "clean", list(folder)) for folder in folders}
        # Processor time that only an endless loop needs, whatever else the machine does.
        self.limits = {}
        for module, judges in self.judges.items():
            own = seconds_of(work / "clean", judges.own) if judges.own else 0.0
            for part, seconds in ((judges.own, own), (judges.rest, whole[tuple(judges.folder)])):
                self.limits[module, tuple(part)] = 10 + int(3 * seconds)
        self.free = [
            Path(shutil.copytree(work / "clean", work / f"worker{i}")) for i in range(workers)
        ]
        self.running: Dict[int, Tuple[Mutant, Path, List[List[str]]]] = {}
        self.counts: Dict[str, int] = Counter()

    def judge_all(self) -> None:
        """Every mutant's tests, own file first, until one fails."""
        shown = time.monotonic()
        while self.waiting or self.running:
            if time.monotonic() - shown > 60:
                shown = time.monotonic()
                self.write()
                print(f"{len(self.waiting)} wait, {self.counts[SURVIVED]} survived", flush=True)
            while self.waiting and self.free:
                mutant, folder = self.waiting.pop(), self.free.pop()
                (folder / PACKAGE / mutant.module).write_text(mutant.source, encoding="utf-8")
                judges = self.judges[mutant.module]
                self._next(mutant, folder, [part for part in (judges.own, judges.rest) if part])
            process, status, _ = os.wait4(-1, 0)
            mutant, folder, left = self.running.pop(process)
            if status == 0 and left:
                self._next(mutant, folder, left)
                continue
            mutant.outcome = _outcome(status)
            self.counts[mutant.outcome] += 1
            clean = self.work / "clean" / PACKAGE / mutant.module
            shutil.copy2(clean, folder / PACKAGE / mutant.module)
            self.free.append(folder)

    def write(self) -> str:
        """The report of what has been judged, and of how many have not."""
        judged = [mutant for mutant in self.all if mutant.outcome]
        text = report(judged, time.monotonic() - self.began, len(self.all) - len(judged))
        self.output.mkdir(parents=True, exist_ok=True)
        (self.output / "report.md").write_text(text, encoding="utf-8")
        return text

    def _next(self, mutant: Mutant, folder: Path, parts: List[List[str]]) -> None:
        limit = self.limits[mutant.module, tuple(parts[0])]
        process = start(folder, parts[0], limit, self.work / f"{folder.name}.log")
        self.running[process] = (mutant, folder, parts[1:])


def report(judged: List[Mutant], seconds: float, waiting: int) -> str:
    """Counts by file, then every survivor by file and function."""
    lines = ["# Mutants", "", "| file | mutants | killed | survived | timeout |", "|-|-|-|-|-|"]
    names = sorted({mutant.module for mutant in judged})
    for name in [*names, "all"]:
        counts = Counter(m.outcome for m in judged if name in (m.module, "all"))
        row = [sum(counts.values()), counts[KILLED], counts[SURVIVED], counts[TIMEOUT]]
        lines.append(f"| {name} | {' | '.join(map(str, row))} |")
    lines += ["", f"{seconds / 60:.1f} minutes, {seconds / max(1, len(judged)):.2f} s a mutant."]
    if waiting:
        lines += ["", f"Stopped, or still running: {waiting} mutants have not been judged."]
    above = ""
    for mutant in judged:
        if mutant.outcome == KILLED:
            continue
        place = f"## {mutant.module}, {mutant.function}"
        if place != above:
            lines += ["", place]
        above = place
        lines += ["", f"Line {mutant.line}, {mutant.outcome}:", "", "```diff", mutant.change, "```"]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Mutates, judges, reports."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", metavar="module", help="some of MODULES")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("out/mutants"))
    chosen = parser.parse_args()
    unknown = set(chosen.modules) - set(MODULES)
    if unknown:
        parser.error(f"Expected some of {', '.join(MODULES)}. Received: {', '.join(unknown)}.")

    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = "1"
    for foreign in ("numpy", "nvtabular", "merlin.io", "merlin.schema.io.tensorflow_metadata"):
        __import__(foreign)
    waiting = [mutant for module in chosen.modules or MODULES for mutant in mutants(module)]
    print(f"{len(waiting)} mutants", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        clean = Path(folder, "clean")
        clean.mkdir()
        for name in READ_BY_TESTS:
            source = ROOT / name
            if source.is_dir():
                ignore = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, clean / name, ignore=ignore)
            else:
                shutil.copy2(source, clean / name)
        run = Run(waiting, Path(folder), chosen.workers, chosen.output)
        run.judge_all()
        text = run.write()
    print(text.partition("\n## ")[0])
    print(f"Survivors: {chosen.output / 'report.md'}")


if __name__ == "__main__":
    main()
