"""Writes the table and the picture of compare_negatives.py, from the files of its runs."""

import json
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

REFERENCE = "full softmax"
CORRECTED, UNCORRECTED = ", corrected", ", uncorrected"
COLUMNS = {
    "recall@10": "R@10",
    "ndcg@10": "NDCG@10",
    "cross_entropy": "nats",
    "recall@10 head": "head",
    "recall@10 middle": "middle",
    "recall@10 tail": "tail",
    "coverage@10": "coverage",
    "best_epoch": "epochs",
    "seconds_an_epoch": "s an epoch",
    "peak_mb": "MB",
}
"""Columns of the table, and their headings."""
DIGITS = {
    "cross_entropy": 3,
    "coverage@10": 3,
    "best_epoch": 0,
    "seconds_an_epoch": 1,
    "peak_mb": 0,
}

Key = Tuple[str, int]
"""A row's name and its number of samples, 0 for rows that it does not change."""
OfSeed = Dict[Optional[int], Dict[str, Any]]
"""Runs of one row by their seed, None for rows without training."""


def summary(runs: Sequence[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """Computes means over the seeds, and differences from the full softmax, for one data set.

    Differences are paired: between runs of the same seed, and of the same query. The standard error
    is that over the queries, of the mean over the common seeds.

    Args:
      runs: contents of the files of one data set.

    Returns:
      For each row and number of samples: `row`, `samples`, `seeds`, the mean of each of `COLUMNS`
      with the standard error over the seeds (`error`, where there are two or more), and the
      differences of R@10 and NDCG@10 with their standard errors: `difference` from the full
      softmax, and `from_corrected`, that of an uncorrected row from the corrected one.
    """
    by_key: Dict[Key, OfSeed] = {}
    for run in runs:
        by_key.setdefault((run["row"], run["samples"]), {})[run["seed"]] = run
    found = []
    for (name, samples), of_seed in by_key.items():
        row = {"row": name, "samples": samples, **_means(of_seed)}
        if name != REFERENCE:
            row["difference"] = _differences(of_seed, by_key.get((REFERENCE, 0), {}))
        if name.endswith(UNCORRECTED):
            corrected = name[: -len(UNCORRECTED)] + CORRECTED
            row["from_corrected"] = _differences(of_seed, by_key.get((corrected, samples), {}))
        found.append({name: value for name, value in row.items() if value is not None})
    return found


def _means(of_seed: OfSeed) -> Dict[str, Any]:
    mean, error = {}, {}
    for column in COLUMNS:
        values = [run[column] for run in of_seed.values() if column in run]
        if values:
            mean[column] = float(np.mean(values))
        if len(values) > 1:
            error[column] = float(np.std(values, ddof=1) / np.sqrt(len(values)))
    return {"seeds": sorted(set(of_seed) - {None}), "mean": mean, "error": error}


def _differences(of_seed: OfSeed, reference: OfSeed) -> Optional[Dict[str, Tuple[float, float]]]:
    # A row without training has one run, which is compared with each seed.
    pairs = [
        (of_seed.get(None) or of_seed[seed], run)
        for seed, run in reference.items()
        if None in of_seed or seed in of_seed
    ]
    if not pairs:
        return None
    return {
        "recall@10": paired([(_hits(one), _hits(two)) for one, two in pairs]),
        "ndcg@10": paired([(one["gains"], two["gains"]) for one, two in pairs]),
    }


def _hits(run: Dict[str, Any]) -> Any:
    return np.array(run["gains"]) > 0


def paired(pairs: Sequence[Tuple[Any, Any]]) -> Tuple[float, float]:
    """Returns the mean difference, and its standard error over the queries.

    Args:
      pairs: for each seed, a number for each query of two runs.
    """
    of_query = np.mean([np.subtract(one, two, dtype=float) for one, two in pairs], axis=0)
    return float(np.mean(of_query)), float(np.std(of_query, ddof=1) / np.sqrt(len(of_query)))


def write_report(output: Path, names: Sequence[str], missing: Sequence[str]) -> str:
    """Writes the JSON, the table and the picture, and returns the table.

    Args:
      output: folder whose `runs` hold the files.
      names: the rows in their order.
      missing: names of requested runs that are not complete yet.
    """
    runs = [json.loads(file.read_text()) for file in (output / "runs").glob("*.json")]
    found: Dict[str, List[Dict[str, Any]]] = {}
    for run in sorted(runs, key=lambda run: (names.index(run["row"]), run["samples"])):
        found.setdefault(run["data"], []).append(run)
    result = {
        name: {
            "items": runs[0]["items"],
            "sequences": runs[0]["sequences"],
            "queries": len(runs[0]["gains"]),
            "settings": next((run["settings"] for run in runs if run["settings"]), {}),
            "rows": summary(runs),
        }
        for name, runs in found.items()
    }
    text = "\n\n".join(f"### {name}\n\n{table(data)}" for name, data in sorted(result.items()))
    if missing:
        text += "\n\nNot run yet:\n\n" + "\n".join(f"- {name}" for name in missing)
    (output / "compare_negatives.json").write_text(json.dumps(result, indent=1) + "\n")
    (output / "compare_negatives.md").write_text(text + "\n")
    picture(result).savefig(output / "compare_negatives.png", dpi=130)
    return text


def table(data: Dict[str, Any]) -> str:
    """Returns the table of one data set, in Markdown."""
    heads = ["", "K", "seeds", *COLUMNS.values(), "R@10 less full softmax's"]
    lines = [
        f"{data['items']:,} items, {data['sequences']:,} sequences, {data['queries']:,} queries.",
        "",
        "| " + " | ".join(heads) + " |",
        "|---" * len(heads) + "|",
    ]
    for row in data["rows"]:
        cells = [row["row"], str(row["samples"] or "-"), str(len(row["seeds"]) or "-")]
        cells += [_cell(row, column) for column in COLUMNS]
        difference = row.get("difference", {}).get("recall@10")
        cells.append("{:+.4f} ({:.4f})".format(*difference) if difference else "-")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(row: Dict[str, Any], column: str) -> str:
    if column not in row["mean"]:
        return "-"
    text = f"{row['mean'][column]:.{DIGITS.get(column, 4)}f}"
    shows_error = column in ("recall@10", "ndcg@10") and column in row["error"]
    return f"{text} ({row['error'][column]:.4f})" if shows_error else text


def picture(result: Dict[str, Any]) -> Any:
    """Draws recall by band, a panel for each data set and band."""
    from matplotlib.figure import Figure  # not pyplot, which looks for a display

    bands = ["", " head", " middle", " tail"]
    most = max(len(data["rows"]) for data in result.values())
    figure = Figure(figsize=(12, (1.2 + 0.28 * most) * len(result)))
    axes = figure.subplots(len(result), len(bands), squeeze=False, sharey="row")
    for line, (name, data) in zip(axes, result.items()):
        rows = data["rows"][::-1]
        for axis, band in zip(line, bands):
            column = f"recall@10{band}"
            for place, row in enumerate(rows):
                error = row["error"].get(column, 0.0)
                style = "s" if row["row"] in (REFERENCE,) else "o"
                axis.errorbar(
                    row["mean"].get(column, np.nan), place, xerr=error, fmt=style, color=_color(row)
                )
            axis.set_xlim(left=0)
            axis.locator_params(axis="x", nbins=4)
            axis.set_title(f"{name}: R@10{band or ', all'}", fontsize=9)
            axis.grid(alpha=0.25)
            axis.spines[["top", "right"]].set_visible(False)
        line[0].set_yticks(range(len(rows)), [named(row) for row in rows], fontsize=8)
    figure.tight_layout()
    return figure


def named(row: Dict[str, Any]) -> str:
    """Returns the name of a row, with its number of samples if it has one."""
    return f"{row['row']}, {row['samples']}" if row["samples"] else str(row["row"])


def _color(row: Dict[str, Any]) -> str:
    if row["row"] == REFERENCE:
        return "black"
    if not row["seeds"]:
        return "grey"
    return "#d95f02" if row["row"].endswith(UNCORRECTED) else "#1b9e77"
