"""Reads and writes files under the names that stock Categorify of NVTabular uses.

The copies are for programs that read Categorify's files, such as NVTabular's own tests. The
operators find a vocabulary by the `cat_path` in the schema, never by these names.
"""

import re
from typing import Dict, Mapping

import numpy as np

from merlin_popsampler.core.segments import Ints
from merlin_popsampler.errors import FrequencyOrderError

from . import filesystem
from .artifact import CATEGORIES, META, POPULARITY, UNIQUE, FitArtifact, FitFolder

_KEYS = re.compile(rf"{UNIQUE}\.(.+)\.parquet")
_LONGEST = 200
"""Longest name in bytes, to which Categorify adds a prefix and a suffix."""


def export_categorify_files(fits: Mapping[str, FitArtifact], staging: FitFolder) -> None:
    """Copies vocabularies to the folder where Categorify writes them, and overwrites files there.

    It skips vocabularies whose name cannot be part of a file name.

    Args:
      fits: the artifacts by name of the vocabulary.
      staging: a new folder below the root, in which files are written before they are renamed.
    """
    for name, fitted in fits.items():
        if "/" in name or not name.isprintable() or len(name.encode()) > _LONGEST:
            continue
        for kind in (UNIQUE, META, POPULARITY):
            target = f"{staging.root}/{CATEGORIES}/{kind}.{name}.parquet"
            names = ("/".join(file.split("/")[1:]) for file in fitted.files[kind])
            filesystem.put(target, zip(names, fitted.read(kind)), staging.path)


def find_stock_vocabularies(root: str) -> Dict[str, str]:
    """Finds Categorify's files of keys in a folder or in its `categories`: paths by vocabulary."""
    found = {}
    for folder in (root, f"{root}/{CATEGORIES}"):
        for file in filesystem.names_in(folder):
            match = _KEYS.fullmatch(file)
            if match:
                found[match.group(1)] = f"{folder}/{file}"
    return found


def meta_beside(path: str) -> str:
    """Returns the path of the `meta.*` file that belongs to a `unique.*` file."""
    folder, name = path.rsplit("/", 1)
    return f"{folder}/{META}{name[len(UNIQUE) :]}"


def read_sizes(path: str, name: str, min_id: int) -> Ints:
    """Reads the occurrences in a vocabulary file, int64 `[items]`, in the order of ids.

    Args:
      path: the `unique.*` file or folder of parts, of Categorify or FrequencyCategorify.
      name: name of the vocabulary.
      min_id: first id that the encoder gives to a key.

    Raises:
      FrequencyOrderError: the file was removed, has no counts, or its first id is another one.
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
            f"Column {name!r}: expected a column of counts next to the encoder's keys. Received: "
            f"columns {list(frame.columns)}. Categorify(vocabs=...) counts nothing. {what_to_do}"
        )
    # The encoder shifts the ids of a file that is numbered from 0.
    if len(frame) and frame.index[0] not in (0, min_id):
        raise FrequencyOrderError(
            f"Column {name!r}: expected keys numbered from {min_id}, or from 0. Received: numbers "
            f"from {frame.index[0]}, which are not the encoder's ids. {what_to_do}"
        )
    sizes: Ints = frame[columns[0]].to_numpy(np.int64)
    return sizes
