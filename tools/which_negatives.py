"""Writes docs/which-negatives.md: fills tools/which_negatives.template with docs/results/*.json.

A field of the template names a file, a row and a value, such as `{beauty[full softmax].recall}` or
`{samples[measured, corrected, 64].recall}`. So no number of the page is typed. `CLAIMS` are what
its sentences say without a number; if one does not hold for the results, no page is written.
"""

import json
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Tuple

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
TEMPLATE = Path(__file__).with_suffix(".template")
PAGE = ROOT / "docs" / "which-negatives.md"
sys.path.insert(0, str(ROOT / "workflows"))

from comparison_report import COLUMNS, REFERENCE, table  # noqa: E402 - a program

NAMES = {
    "recall@10": "recall",
    "ndcg@10": "ndcg",
    "cross_entropy": "nats",
    "coverage@10": "coverage",
    "best_epoch": "epochs",
    "seconds_an_epoch": "seconds",
    "peak_mb": "mb",
}
"""Columns by their names in the template; the bands are `head`, `middle` and `tail`."""


class Row:
    """The values of a row, as attributes: rounded as in the table.

    `from_full` and `from_corrected` are differences of R@10, with the standard error in brackets.
    `share_of_full` and `share_of_corrected` are R@10 in percent of that of the other row.
    """

    def __init__(self, row: Dict[str, Any]) -> None:
        for column in COLUMNS:
            name = NAMES.get(column, column.split()[-1])
            setattr(self, name, row["mean"].get(column, float("nan")))
        for name, found in (("full", "difference"), ("corrected", "from_corrected")):
            if found in row:
                difference, error = row[found]["recall@10"]
                other = row["mean"]["recall@10"] - difference
                setattr(self, f"from_{name}", f"{difference:+.4f} ({error:.4f})")
                setattr(self, f"errors_from_{name}", difference / error)
                setattr(self, f"share_of_{name}", f"{row['mean']['recall@10'] / other:.0%}")


class Results:
    """The rows of one file by name, and its table."""

    def __init__(self, file: Path) -> None:
        ((self.name, data),) = json.loads(file.read_text()).items()
        self.items, self.sequences = f"{data['items']:,}", f"{data['sequences']:,}"
        self.table = table(data)
        self.rows = {_name(row): Row(row) for row in data["rows"]}

    def __getitem__(self, name: str) -> Row:
        return self.rows[name]


def _name(row: Dict[str, Any]) -> str:
    return f"{row['row']}, {row['samples']}" if row["samples"] else str(row["row"])


Claim = Callable[[Dict[str, Results]], bool]
CLAIMS: Tuple[Tuple[str, Claim], ...] = ()
"""What the page says without a number, and whether it holds."""


def page(folder: Path = RESULTS) -> str:
    """Returns the page for the results of a folder.

    Raises:
      ValueError: a claim of the page does not hold.
    """
    results = {file.stem: Results(file) for file in sorted(folder.glob("*.json"))}
    wrong = [said for said, holds in CLAIMS if not holds(results)]
    if wrong:
        raise ValueError(f"The results contradict the page: {wrong}. Rewrite its template.")
    return TEMPLATE.read_text().format_map(results)


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"{PAGE.relative_to(ROOT)} is written, with {REFERENCE} as the reference.")
