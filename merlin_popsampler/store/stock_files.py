"""Copies of a vocabulary's files under the names that NVTabular's own Categorify gives them.

They are for people and programs that look there. Of what lies there, ours reads only what another
Categorify wrote.
"""

import io
import re
import warnings
from typing import Dict, Mapping

import numpy as np

from merlin_popsampler.core.segments import Ints
from merlin_popsampler.errors import FrequencyOrderError

from . import filesystem
from .artifact import CATEGORIES, MARK, META, UNIQUE, FitArtifact, FitFolder

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
                    filesystem.put(target, zip(names, fitted.read(kind)), beside.path)
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
        for file in filesystem.names_in(folder):
            match = _KEYS.fullmatch(file)
            if match:
                found[match.group(1)] = f"{folder}/{file}"
    return found


def meta_beside(path: str) -> str:
    """Path of the `meta.*` file that Categorify writes beside a `unique.*` file."""
    folder, name = path.rsplit("/", 1)
    return f"{folder}/{META}{name[len(UNIQUE) :]}"


def read_sizes(path: str, name: str, min_id: int) -> Ints:
    """Occurrences that an encoder wrote beside its keys, int64 `[items]`, in the ids' order.

    Args:
      path: the `unique.*` file, or folder of parts, of NVTabular's or our Categorify.
      name: the vocabulary's name.
      min_id: first id that the encoder gives to a key.

    Raises:
      FrequencyOrderError: no such file any more, no counts in it, or ids that start elsewhere.
    """
    what_to_do = "Let FrequencyOrder count the ids (mode='count'), or fit the encoder again."
    if not filesystem.exists(path):
        raise FrequencyOrderError(
            f"Column {name!r}: expected the encoder's vocabulary at its cat_path. Received: "
            f"nothing at {path}; was the folder moved or removed? {what_to_do}"
        )
    frame = filesystem.read_table(path)
    columns = [
        column
        for column in frame.columns
        if column != name and column.startswith(name) and column.endswith("size")
    ]
    if len(columns) != 1 or frame[columns[0]].dtype.kind not in "iu":
        raise FrequencyOrderError(
            f"Column {name!r}: expected the encoder's counts beside its keys. Received: "
            f"columns {list(frame.columns)} (as vocabs= leaves them). {what_to_do}"
        )
    # A file that is numbered from 0 is shifted to its place by the encoder.
    if len(frame) and frame.index[0] not in (0, min_id):
        raise FrequencyOrderError(
            f"Column {name!r}: expected ids from {min_id} on. Received: a vocabulary numbered "
            f"from {frame.index[0]}, whose ids the encoder shifts. {what_to_do}"
        )
    sizes: Ints = frame[columns[0]].to_numpy(np.int64)
    return sizes


def _is_free(path: str) -> bool:
    """Whether there is nothing at a path, or copies of ours alone."""
    if filesystem.is_file(path):
        return _is_copy(path)
    return all(_is_copy(f"{path}/{name}") for name in filesystem.names_in(path))


def _is_copy(path: str) -> bool:
    try:
        return MARK in _metadata(filesystem.read_bytes(path))
    except (ValueError, OSError):  # no parquet, or a folder in the folder
        return not filesystem.exists(path)


def _metadata(content: bytes) -> Mapping[bytes, bytes]:
    import pyarrow.parquet as pq

    return pq.read_metadata(io.BytesIO(content)).metadata or {}
