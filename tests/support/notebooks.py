"""Reads the notebooks of examples/, and runs them."""

import json
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def code_cells(notebook: Any) -> List[Any]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def texts(cells: List[Any]) -> Iterator[str]:
    """Returns the text outputs of the cells: streams and plain text, without pictures."""
    for cell in cells:
        for output in cell["outputs"]:
            yield "".join(output.get("text", ""))
            for kind, value in sorted(output.get("data", {}).items()):
                if not kind.startswith("image/"):
                    yield "".join(value)


def kept(name: str) -> Dict[str, Any]:
    """Returns the notebook as it is in the repository."""
    notebook: Dict[str, Any] = json.loads((EXAMPLES / name).read_text(encoding="utf-8"))
    return notebook


def executed(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs all cells of a notebook, and returns it."""
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")  # the Python of this environment
    monkeypatch.setenv("IPYTHONDIR", str(folder / "ipython"))
    monkeypatch.setenv("TMPDIR", str(folder))
    notebook = nbformat.read(str(EXAMPLES / name), as_version=4)
    for cell in code_cells(notebook):
        cell["outputs"] = []
    nbclient.NotebookClient(notebook, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook
