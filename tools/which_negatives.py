"""Writes docs/which-negatives.md and its picture, from docs/results/*.json.

The files are those of compare_negatives.py. Fills tools/which_negatives.template, whose fields name
a data set, a row and a value: `{Beauty[full softmax][recall@10]:.4f}`. So no number of a result is
typed. Run it with the Python of .venv-torch, after a comparison was run anew.
"""

import json
import sys
from pathlib import Path
from typing import Any, Dict

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
TEMPLATE = Path(__file__).with_suffix(".template")
PAGE = ROOT / "docs" / "which-negatives.md"
PICTURE = ROOT / "docs" / "images" / "which-negatives.png"
sys.path.insert(0, str(ROOT / "workflows"))

from comparison_report import named, picture, table  # noqa: E402 - a program


def results(folder: Path = RESULTS) -> Dict[str, Dict[str, Any]]:
    """Returns the JSON of each data set, by its name."""
    return {
        name: data
        for file in sorted(folder.glob("*.json"))
        for name, data in json.loads(file.read_text()).items()
    }


def page(found: Dict[str, Dict[str, Any]]) -> str:
    """Returns the page for these results."""
    return TEMPLATE.read_text().format_map({name: values(data) for name, data in found.items()})


def values(data: Dict[str, Any]) -> Dict[str, Any]:
    """Returns what a template may name of a data set: rows by name, sizes, the table."""
    rows = {named(row): row_values(row) for row in data["rows"]}
    full = rows["full softmax"]
    for row in rows.values():
        if "seconds_an_epoch" in row:
            row["time"] = 100 * row["seconds_an_epoch"] / full["seconds_an_epoch"]
            row["time to best"] = row["time"] * row["best_epoch"] / full["best_epoch"]
    sizes = {name: f"{data[name]:,}" for name in ("items", "sequences", "queries")}
    return {**rows, **sizes, "tail": tail(rows), "table": table(data)}


def tail(rows: Dict[str, Dict[str, float]]) -> str:
    """Returns a table of the rows by their recall on the tail, the best first."""
    order = sorted(rows, key=lambda name: -rows[name]["recall@10 tail"])
    lines = [
        f"| {name} | {rows[name]['recall@10 tail']:.3f} | {rows[name]['recall@10']:.4f} |"
        for name in order
    ]
    return "\n".join(["| | tail | all |", "|---|---|---|", *lines])


def row_values(row: Dict[str, Any]) -> Dict[str, Any]:
    """Returns the means of a row and its paired differences.

    A difference is text, with the standard error in brackets. Its share is in percent of the other
    row.
    """
    found = dict(row["mean"])
    for name in ("difference", "from_corrected"):
        for metric, (difference, error) in row.get(name, {}).items():
            found[f"{name} {metric}"] = f"{difference:+.4f} ({error:.4f})"
            found[f"{name} {metric} share"] = 100 * difference / (found[metric] - difference)
    return found


def main() -> None:
    """Writes the page and the picture."""
    found = results()
    PAGE.write_text(page(found))
    picture(found).savefig(PICTURE, dpi=110)
    print(f"{PAGE.relative_to(ROOT)} and its picture are written.")


if __name__ == "__main__":
    main()
