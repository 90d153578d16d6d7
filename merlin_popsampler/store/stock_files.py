"""Files under the names that NVTabular's own Categorify gives them: reading and copying.

The copies are for programs that read Categorify's files, NVTabular's own tests among them. The
operators read a vocabulary by the `cat_path` in the schema, never by these names.
"""

import re
from typing import Dict, Mapping

import numpy as np

from merlin_popsampler.core.segments import Ints
from merlin_popsampler.errors import FrequencyOrderError

from . import filesystem
from .artifact import CATEGORIES, META, UNIQUE, FitArtifact, FitFolder

_KEYS = re.compile(rf"{UNIQUE}\.(.+)\.parquet")
_LONGEST = 200
"""Bytes of a name that leave room for what Categorify puts around it."""


def export_categorify_files(fits: Mapping[str, FitArtifact], beside: FitFolder) -> None:
    """Copies vocabularies, by name, to Categorify's folder of a root, over what lies there.

    Names that no file can have are left out.

    Args:
      fits: what is copied.
      beside: a new folder in the root, where the copies are written before they are renamed.
    """
    for name, fitted in fits.items():
        if "/" in name or not name.isprintable() or len(name.encode()) > _LONGEST:
            continue
        for kind, files in fitted.files.items():
            target = f"{beside.root}/{CATEGORIES}/{kind}.{name}.parquet"
            names = ("/".join(file.split("/")[1:]) for file in files)
            filesystem.put(target, zip(names, fitted.read(kind)), beside.path)


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
