"""Writes the reports of the benchmarks."""

import json
from pathlib import Path
from typing import Any, Sequence


def publish(output: Path, name: str, lines: Sequence[str], results: Any) -> None:
    """Prints the lines of a report, and writes them and the results to `<name>.md` and `.json`."""
    text = "\n".join(lines)
    print(text)
    output.mkdir(parents=True, exist_ok=True)
    (output / f"{name}.md").write_text(text + "\n")
    (output / f"{name}.json").write_text(json.dumps(results, indent=2) + "\n")
