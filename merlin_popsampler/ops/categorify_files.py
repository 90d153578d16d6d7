"""Copies of a vocabulary's files under the names that NVTabular's own Categorify gives them.

They are for people and programs that look there. Of what lies there, ours reads only what another
Categorify wrote.
"""

import io
import re
import warnings
from typing import Dict, Mapping

from . import storage
from .fit_folder import CATEGORIES, MARK, META, UNIQUE, FitArtifact, FitFolder

_KEYS = re.compile(rf"{UNIQUE}\.(.+)\.parquet")
_LONGEST = 200
"""Bytes of a name that leave room for what Categorify puts around it."""


def export_categorify_files(fits: Mapping[str, FitArtifact], beside: FitFolder) -> None:
    """Copies the files of vocabularies, by name, to Categorify's folder of a root.

    A name that is no file's gets no copies, and files that are no such copies stay, with a warning.

    Args:
      fits: what is copied.
      beside: a new folder in the root, to write in before anybody sees it.
    """
    taken = []
    for name, fitted in fits.items():
        if "/" in name or not name.isprintable() or len(name.encode()) > _LONGEST:
            continue
        for kind, files in fitted.files.items():
            target = f"{beside.root}/{CATEGORIES}/{kind}.{name}.parquet"
            names = ("/".join(file.split("/")[1:]) for file in files)
            try:
                if _is_free(target):
                    storage.put(target, zip(names, fitted.read(kind)), beside.path)
                else:
                    taken.append(target)
            except OSError as error:
                taken.append(f"{target} ({error})")
    if taken:
        warnings.warn(
            "The vocabularies were not copied under Categorify's own names, since files of others "
            f"are there, or none can be written: {taken}. Nothing of ours needs the copies. If "
            "something else does, give this operator an out_path of its own.",
            stacklevel=4,
        )


def find_stock_vocabularies(root: str) -> Dict[str, str]:
    """By vocabulary, the keys that lie where Categorify writes them, below a folder or in it."""
    found = {}
    for folder in (root, f"{root}/{CATEGORIES}"):
        for file in storage.names_in(folder):
            match = _KEYS.fullmatch(file)
            if match:
                found[match.group(1)] = f"{folder}/{file}"
    return found


def meta_beside(path: str) -> str:
    """Path of the `meta.*` file that Categorify writes beside a `unique.*` file."""
    folder, name = path.rsplit("/", 1)
    return f"{folder}/{META}{name[len(UNIQUE) :]}"


def _is_free(path: str) -> bool:
    """Whether there is nothing at a path, or copies of ours alone."""
    if storage.is_file(path):
        return _is_copy(path)
    return all(_is_copy(f"{path}/{name}") for name in storage.names_in(path))


def _is_copy(path: str) -> bool:
    try:
        return MARK in _metadata(storage.read_bytes(path))
    except (ValueError, OSError):  # no parquet, or a folder in the folder
        return not storage.exists(path)


def _metadata(content: bytes) -> Mapping[bytes, bytes]:
    import pyarrow.parquet as pq

    return pq.read_metadata(io.BytesIO(content)).metadata or {}
