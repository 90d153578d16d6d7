"""Records for a refit of preprocess.py which data it follows, and the new id of each old id."""

import json
from pathlib import Path
from typing import Any, Dict, Iterable

from splits import ITEM, check_whole
from whole_files import write_json

from merlin_popsampler import IdMap, PopSamplerError, id_map

REFIT = "refit.json"
WORKFLOW = "workflow"


def check_earlier(earlier: Path, output: Path) -> None:
    """Checks the folder of an earlier run before any file is written.

    Raises:
      PopSamplerError: a folder that no run of preprocess.py completed, or the output itself.
    """
    if not (earlier / WORKFLOW).is_dir() or earlier.resolve() == output.resolve():
        raise PopSamplerError(
            "Expected --refit-of to name another folder that preprocess.py wrote. Received: "
            f"{earlier}. Keep the earlier run, and write the new one to an --output of its own."
        )
    check_whole(earlier)


def write_refit(earlier: Path, output: Path) -> Dict[str, int]:
    """Notes which run a refit follows, and returns how many items stay, appear and vanish."""
    ids = id_map(earlier / WORKFLOW, output / WORKFLOW, ITEM)
    kept, added, gone = ids.moved
    kept -= min(ids.old.min_id, ids.new.min_id)  # reserved ids
    write_json(output / REFIT, {"of": str(earlier.resolve())})
    return {"kept_items": kept, "new_items": added, "gone_items": gone}


def read_id_maps(data: Path, features: Iterable[str] = ()) -> Dict[str, IdMap]:
    """Reads the new ids of the items, and of their features, by column.

    Args:
      data: folder of a run of preprocess.py with `--refit-of`.
      features: columns of the item table that were encoded.

    Raises:
      PopSamplerError: a run without `--refit-of`.
    """
    if not (data / REFIT).is_file():
        raise PopSamplerError(
            f"Expected data that follow an earlier run. Received: no {REFIT} in {data}. Run "
            "workflows/preprocess.py with --refit-of, or leave out --warm-start."
        )
    earlier = Path(json.loads((data / REFIT).read_text())["of"])
    maps = {name: id_map(earlier / "items", data / "items", name) for name in features}
    return {ITEM: id_map(earlier / WORKFLOW, data / WORKFLOW, ITEM), **maps}


def checkpoint(folder: Path, name: str, output: Path) -> Path:
    """Returns the path of an earlier model, which must not be where the new one will be.

    Raises:
      PopSamplerError: no such model, or the folder of the new models.
    """
    path = folder / name
    if not path.exists() or folder.resolve() == output.resolve():
        raise PopSamplerError(
            f"Expected --warm-start to name the folder of an earlier run that contains {name!r}, "
            f"and --output to name another folder. Received: {folder} and {output}. Train on the "
            "earlier data first, and pass the --output of that run."
        )
    return path


def said(report: Any) -> str:
    """Describes a warm start in one line for each table."""
    return "\n".join(
        f"{name}: {rows.kept:,} rows kept, {rows.added:,} added, {rows.gone:,} gone; "
        f"state of the optimizer: {', '.join(report.slots.get(name, ())) or 'none'}"
        for name, rows in report.tables.items()
    )
