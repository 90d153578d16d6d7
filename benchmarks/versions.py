"""Times two checkouts of the package in turns, and one of them against itself as control.

  python benchmarks/versions.py --before ../the-checkout-before \
      --python .venv/bin/python --python .venv-torch/bin/python

Each checkout runs in a process of its own, and the earlier one in a second process as well, as
control. `--after` is the checkout of this file by default. The three take turns, in an order that
changes from round to round, so that other load on the machine affects all of them. The cases are in
`version_cases.py`: training steps and draws of both frameworks, fits of a million rows, requests of
one row. Each case runs in the first interpreter that has its dependencies.

Prints for each case the median ratio of after to before, with its 95 % interval by the bootstrap
over rounds, and the interval of the control. A case is slower if its ratio exceeds 1.05 by more
than the spread of the control. Writes versions.md and versions.json under `--output`, and exits
with 1 if a case has become slower.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
from report import publish

LIMIT = 1.05
"""Largest ratio that does not count as slower, on top of the spread of the control."""


class Version:
    """A process that times the cases with the package of one checkout."""

    def __init__(self, python: str, checkout: Path, chosen: str) -> None:
        env = {**os.environ, "PYTHONPATH": str(checkout.resolve()), "TF_CPP_MIN_LOG_LEVEL": "3"}
        script = str(Path(__file__).resolve())
        command = [python, "-W", "ignore", script, "--serve", "--only", chosen]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, env=env, text=True, stdin=pipe, stdout=pipe)  # noqa: S603 - ours
        self.questions: Any = self.process.stdin
        self.answers: Any = self.process.stdout
        self.absent: Dict[str, Optional[str]] = json.loads(self._answer())

    def seconds(self, case: str) -> float:
        print(case, file=self.questions, flush=True)
        return float(self._answer())

    def close(self) -> None:
        self.questions.close()
        self.process.wait()

    def _answer(self) -> str:
        line: str = self.answers.readline()
        if not line:
            sys.exit("The process of a checkout ended: see its message above.")
        return line


def interval(ratios: Any) -> Tuple[float, float, float]:
    """Returns the median and its 95 % interval by the bootstrap."""
    rng = np.random.default_rng(17)
    resampled = np.median(rng.choice(ratios, (4000, len(ratios))), axis=1)
    low, high = np.quantile(resampled, [0.025, 0.975])
    return float(np.median(ratios)), float(low), float(high)


def row_of(case: str, times: Any) -> Dict[str, Any]:
    """Returns the row of a case in the report.

    Args:
      case: its name.
      times: seconds `[rounds, 3]` of before, of after, and of before in its second process.
    """
    ratio, low, high = interval(times[:, 1] / times[:, 0])
    itself, self_low, self_high = interval(times[:, 2] / times[:, 0])
    spread = max(1.0 - self_low, self_high - 1.0, 0.0)
    return {
        "case": case,
        "before_ms": 1e3 * float(np.median(times[:, 0])),
        "ratio": ratio,
        "low": low,
        "high": high,
        "itself": itself,
        "self_low": self_low,
        "self_high": self_high,
        "fine": bool(ratio <= LIMIT + spread),
    }


def measure(versions: List[Version], names: List[str], rounds: int) -> List[Dict[str, Any]]:
    """Times the cases by all versions in turns."""
    seconds = np.zeros((rounds, len(names), len(versions)))
    for round_ in range(rounds):
        for i, name in enumerate(names):
            for which in np.roll(np.arange(len(versions)), round_ + i):
                seconds[round_, i, which] = versions[which].seconds(name)
    return [row_of(name, seconds[:, i]) for i, name in enumerate(names)]


def compare(args: argparse.Namespace) -> Tuple[List[Dict[str, Any]], Dict[str, str]]:
    """Returns the rows of all available cases, and the reasons why cases are missing."""
    rows: List[Dict[str, Any]] = []
    missing: Dict[str, str] = {}
    for python in args.python:
        done = {row["case"] for row in rows}
        checkouts = (args.before, args.after, args.before)
        versions = [Version(python, checkout, args.only) for checkout in checkouts]
        names = []
        for name in versions[0].absent:
            reasons = [version.absent.get(name, "an unknown case") for version in versions]
            reason = next((reason for reason in reasons if reason), None)
            if reason is None and name not in done:
                names.append(name)
            elif reason is not None:
                missing[name] = reason
        rows += measure(versions, names, args.rounds)
        for version in versions:
            version.close()
    done = {row["case"] for row in rows}
    return rows, {name: reason for name, reason in missing.items() if name not in done}


def table(rows: List[Dict[str, Any]]) -> List[str]:
    """Returns the report as lines of Markdown."""
    lines = ["| case | before, ms | after / before | itself | slower |", "|---" * 5 + "|"]
    for row in rows:
        ratio = f"{row['ratio']:.3f} ({row['low']:.3f} to {row['high']:.3f})"
        itself = f"{row['itself']:.3f} ({row['self_low']:.3f} to {row['self_high']:.3f})"
        slower = "no" if row["fine"] else "YES"
        lines.append(f"| {row['case']} | {row['before_ms']:.3g} | {ratio} | {itself} | {slower} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", type=Path, help="checkout of the version before")
    parser.add_argument("--after", type=Path, default=Path(__file__).parents[1])
    parser.add_argument(
        "--python", action="append", help="an interpreter; repeat it for another environment"
    )
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--output", type=Path, default=Path("out/benchmarks"))
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.python = args.python or [sys.executable]
    if args.serve:
        from version_cases import serve

        serve(args.only)
        return
    if args.before is None:
        print("Nothing to compare: name the checkout of another version with --before.")
        return
    rows, missing = compare(args)
    lines = table(rows)
    lines += [f"\nNot run: {name}: {reason}" for name, reason in missing.items()]
    publish(args.output, "versions", lines, rows)
    sys.exit(0 if rows and all(row["fine"] for row in rows) else 1)


if __name__ == "__main__":
    main()
