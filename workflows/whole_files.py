"""Writes files and folders so that a program that dies leaves them whole or not at all."""

import json
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yields where to write a file or folder, and then gives it its name.

    Until then, an earlier file or folder of that name stays. If a program dies, the next one that
    writes `path` restores an earlier folder that was moved, and removes what is left.

    Args:
      path: the file or folder, or a link to it.
    """
    path = path.resolve()  # the new file or folder is on the disk to which a link leads
    path.parent.mkdir(parents=True, exist_ok=True)  # else a link to nowhere would lose the result
    partial, replaced = (path.with_name(f"{prefix}-{path.name}") for prefix in ("partial", "old"))
    if replaced.exists() and not path.exists():
        replaced.rename(path)
    for stale in (partial, replaced):
        _remove(stale)
    yield partial
    if path.is_dir():  # no file system replaces a folder in one step
        path.rename(replaced)
    partial.replace(path)
    _remove(replaced)


def write_json(path: Path, content: Any) -> None:
    """Writes a JSON file, whole or not at all."""
    with written_whole(path) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
