"""The files of a vocabulary: the only place that orders, writes and reads Categorify's `unique.*`
and `meta.*` files and our `popularity.*` beside them.

New files are staged in a folder of their own and moved into place when all is known to be well, so
that a fit that fails, or is killed, leaves the files of an earlier one as they were.
"""

import os
import re
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, Dict, List, Sequence, Tuple

import fsspec
import numpy as np
import pandas as pd

from merlin.core import dispatch

from .counting import SIZE, Counts
from .domain import FIRST_OOV_ID, NULL_ID, PADDING_ID
from .errors import FrequencyOrderError, PopSamplerError
from .keys import KeyGroup
from .metadata import PopularityMetadata

FOLDER = "categories"
KINDS = ("unique", "meta", "popularity")


@dataclass(frozen=True)
class Layout:
    """What a vocabulary keeps of the keys that were counted.

    Args:
      num_buckets: out-of-vocabulary ids, `>= 1`.
      max_size: most ids in all, reserved ones included; 0 for no limit.
      freq_threshold: fewest occurrences of a key; 0 for no limit.
      split_out: files that the vocabulary is cut into, `>= 1`.
      steps: most steps of the popularity curve.
    """

    num_buckets: int = 1
    max_size: int = 0
    freq_threshold: int = 0
    split_out: int = 1
    steps: int = 256

    @property
    def min_id(self) -> int:
        """First id that stands for a key."""
        return FIRST_OOV_ID + self.num_buckets


@dataclass(frozen=True)
class Vocabulary:
    """What an operator knows of the vocabulary that it fitted.

    Args:
      path: of the `unique.*` file, or folder of parts.
      digest: of that file's bytes.
      metadata: range, order and popularity curve of the ids.
    """

    path: str
    digest: str
    metadata: PopularityMetadata


def by_frequency(frame: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Rows sorted by (occurrences descending, keys ascending): a total order, as keys are unique.

    Words are compared by code point and nulls come first, on any processor.

    Raises:
      FrequencyOrderError: keys that cannot be compared with each other.
    """
    try:
        if len(keys) > 1 or not frame[keys[0]].is_monotonic_increasing:
            frame = frame.sort_values(list(keys), kind="stable", na_position="first")
    except TypeError as error:
        raise FrequencyOrderError(
            f"Column {'_'.join(keys)!r}: expected keys of one kind, since equally frequent keys "
            f"are ordered by key. Received: a mixture ({error}). Convert the column to one kind."
        ) from None
    return frame.iloc[np.argsort(-frame[SIZE].to_numpy(), kind="stable")]


def stage(counts: Counts, group: KeyGroup, layout: Layout, folder: str) -> Vocabulary:
    """Orders and truncates the counted keys, and writes the three files into a staging folder.

    Args:
      counts: of the group's keys.
      group: whose vocabulary it is.
      layout: what to keep.
      folder: the staging folder.

    Returns:
      The vocabulary, with its staged path.
    """
    ordered = by_frequency(counts.frame, group.keys)
    sizes = ordered[SIZE].to_numpy()
    kept = len(sizes)
    if layout.freq_threshold:
        kept = int(np.searchsorted(-sizes, -layout.freq_threshold, side="right"))
    if layout.max_size:
        kept = min(kept, layout.max_size - layout.min_id)
    oov = _bucket_sizes(ordered.iloc[kept:], group, layout.num_buckets)
    reserved = np.concatenate(([0, counts.nulls], oov))

    metadata = PopularityMetadata.from_counts(
        sizes[:kept], layout.min_id, "vocabulary", layout.steps
    )
    fs, base = _filesystem(folder)
    fs.makedirs(base, exist_ok=True)
    path = f"{base}/unique.{group.name}.parquet"
    _write_unique(fs, path, ordered.iloc[:kept], group, layout)
    _write_meta(fs, f"{base}/meta.{group.name}.parquet", reserved, sizes[:kept])
    digest = write_counts(
        fs, f"{base}/popularity.{group.name}.parquet", np.concatenate((reserved, sizes[:kept]))
    )
    return Vocabulary(path, file_digest(path), replace(metadata, digest=digest))


def hash_buckets(keys: Any, num_buckets: int) -> Any:
    """Out-of-vocabulary bucket of each row, `[0, num_buckets)`, as Categorify's hash has it."""
    hashed = 0
    for column in keys.columns:
        values = dispatch.hash_series(keys[column])
        hashed = hashed ^ getattr(values, "values", values)
    return hashed % num_buckets


def _bucket_sizes(removed: pd.DataFrame, group: KeyGroup, num_buckets: int) -> np.ndarray:
    """Occurrences that each out-of-vocabulary id stands for, int64 `[num_buckets]`."""
    sizes = removed[SIZE].to_numpy()
    if num_buckets == 1 or not len(removed):
        return np.append(sizes.sum(), np.zeros(num_buckets - 1, np.int64)).astype(np.int64)
    buckets = hash_buckets(removed[group.keys].infer_objects(), num_buckets)
    result = np.zeros(num_buckets, np.int64)
    np.add.at(result, buckets.astype(np.int64), sizes)
    return result


def _write_unique(
    fs: Any, path: str, kept: pd.DataFrame, group: KeyGroup, layout: Layout
) -> None:
    """Keys and sizes; the ids are the index, as everything that reads these files expects."""
    frame = kept.rename(columns={SIZE: f"{group.name}_size"}).infer_objects()
    frame.index = pd.RangeIndex(layout.min_id, layout.min_id + len(frame))
    if layout.split_out == 1 or len(frame) <= layout.split_out:
        _write(fs, path, frame)
        return
    fs.makedirs(path, exist_ok=True)
    bounds = np.linspace(0, len(frame), layout.split_out + 1).astype(int)
    for part, (start, stop) in enumerate(zip(bounds, bounds[1:])):
        _write(fs, f"{path}/part.{part}.parquet", frame.iloc[start:stop])


def _write_meta(fs: Any, path: str, reserved: np.ndarray, sizes: np.ndarray) -> None:
    num_oov = len(reserved) - FIRST_OOV_ID
    meta = {
        "kind": ["pad", "null", "oov", "unique"],
        "offset": [PADDING_ID, NULL_ID, FIRST_OOV_ID, len(reserved)],
        "num_indices": [1, 1, num_oov, len(sizes)],
        "num_observed": [0, reserved[NULL_ID], reserved[FIRST_OOV_ID:].sum(), sizes.sum()],
    }
    _write(fs, path, pd.DataFrame(meta))


def write_counts(fs: Any, path: str, counts: np.ndarray) -> str:
    """Writes the counts of the ids from 0 on, and returns their digest.

    Args:
      fs: file system.
      path: of the parquet file (`id`, `count`, both int64).
      counts: int64 `[max_id + 1]`.
    """
    counts = np.ascontiguousarray(counts, dtype="<i8")
    _write(fs, path, pd.DataFrame({"id": np.arange(len(counts)), "count": counts}))
    return counts_digest(counts)


def counts_digest(counts: np.ndarray) -> str:
    """Digest of the counts themselves, the same whatever library wrote the file."""
    little_endian = np.ascontiguousarray(counts, dtype="<i8")
    return blake2b(little_endian.tobytes(), digest_size=16).hexdigest()


def read_counts(path: str) -> np.ndarray:
    """Counts of the ids from 0 on, int64 `[max_id + 1]`, from a `popularity.*` file.

    Raises:
      PopSamplerError: not such a file.
    """
    fs, path = _filesystem(path)
    with fs.open(path, "rb") as file:
        frame = pd.read_parquet(file)
    if list(frame.columns) != ["id", "count"] or not np.array_equal(
        frame["id"], np.arange(len(frame))
    ):
        raise PopSamplerError(
            f"Expected a counts file (columns id and count, ids 0, 1, 2, ...). Received: {path} "
            f"with columns {list(frame.columns)}. Pass a popularity.<column>.parquet."
        )
    return frame["count"].to_numpy(np.int64)


def read_sizes(path: str, name: str) -> np.ndarray:
    """Occurrences that an encoder wrote beside its keys, int64 `[items]`, in the ids' order.

    Args:
      path: the `unique.*` file, or folder of parts, of NVTabular's or our Categorify.
      name: the vocabulary's name.

    Raises:
      FrequencyOrderError: no such file any more, or no counts in it.
    """
    what_to_do = "Let FrequencyOrder count the ids (mode='count'), or fit the encoder again."
    fs, _ = _filesystem(path)
    if not fs.exists(path):
        raise FrequencyOrderError(
            f"Column {name!r}: expected the encoder's vocabulary at its cat_path. Received: "
            f"nothing at {path}; was the folder moved or removed? {what_to_do}"
        )
    sizes = []
    for part in files_of(path):
        with fs.open(part, "rb") as file:
            frame = pd.read_parquet(file)
        column = [c for c in frame.columns if c.startswith(name) and c.endswith("size")]
        if name in column and len(column) > 1:
            column.remove(name)
        if not column or column == [name] or frame[column[-1]].dtype.kind not in "iu":
            raise FrequencyOrderError(
                f"Column {name!r}: expected the encoder's counts beside its keys. Received: "
                f"columns {list(frame.columns)} (as vocabs= leaves them). {what_to_do}"
            )
        sizes.append(frame[column[-1]].to_numpy(np.int64))
    return np.concatenate(sizes)


def read_keys(vocabulary: Vocabulary, keys: List[str], like: Any) -> Any:
    """Key columns of the ids in order, a data frame of the library of `like`.

    Raises:
      PopSamplerError: the files are not those that were fitted.
    """
    check_digest(vocabulary)
    reader = dispatch.read_dispatch(like, fmt="parquet")
    parts = [reader(part, columns=keys) for part in files_of(vocabulary.path)]
    frame = dispatch.concat(parts) if len(parts) > 1 else parts[0]
    return frame[keys].reset_index(drop=True)


def check_digest(vocabulary: Vocabulary) -> None:
    """Refuses files that somebody else wrote since."""
    fs, path = _filesystem(vocabulary.path)
    found = file_digest(vocabulary.path) if fs.exists(path) else None
    if found != vocabulary.digest:
        raise PopSamplerError(
            f"Expected the vocabulary that was fitted (digest {vocabulary.digest}) at "
            f"{vocabulary.path}. Received: {'no file' if found is None else f'digest {found}'}. "
            "Another workflow with the same out_path may have written over it: give each its own "
            "out_path, and fit again."
        )


def publish(staged: Dict[str, Vocabulary], folder: str) -> Dict[str, Vocabulary]:
    """Moves staged files into their place, over those of an earlier fit, and tells their paths."""
    published = {}
    fs, base = _filesystem(folder)
    for name, vocabulary in staged.items():
        source = os.path.dirname(vocabulary.path)
        for kind in KINDS:
            file = f"{kind}.{name}.parquet"
            if fs.exists(f"{base}/{file}"):
                fs.rm(f"{base}/{file}", recursive=True)
            fs.mv(f"{source}/{file}", f"{base}/{file}", recursive=True)
        published[name] = replace(vocabulary, path=f"{folder}/unique.{name}.parquet")
    return published


def move(vocabularies: Dict[str, Vocabulary], folder: str, copy: bool) -> Dict[str, Vocabulary]:
    """The same vocabularies in another folder, where their files are copied to if so wanted."""
    moved = {}
    for name, vocabulary in vocabularies.items():
        source = os.path.dirname(vocabulary.path)
        if copy and _filesystem(source)[1] != _filesystem(folder)[1]:
            check_digest(vocabulary)
            for kind in KINDS:
                _copy(f"{source}/{kind}.{name}.parquet", f"{folder}/{kind}.{name}.parquet")
        moved[name] = replace(vocabulary, path=f"{folder}/unique.{name}.parquet")
    return moved


def files_of(path: str) -> List[str]:
    """The file itself, or the parts of a folder in the order of their numbers."""
    fs, local = _filesystem(path)
    if not fs.isdir(local):
        return [path]
    names = [os.path.basename(str(part)) for part in fs.ls(local, detail=False)]
    parts = [name for name in names if name.endswith(".parquet")]
    return [f"{path}/{name}" for name in sorted(parts, key=_number)]


def file_digest(path: str) -> str:
    """Digest of the bytes of a file, or of the parts of a folder one after the other."""
    digest = blake2b(digest_size=16)
    fs, _ = _filesystem(path)
    for part in files_of(path):
        with fs.open(part, "rb") as file:
            while block := file.read(1 << 24):
                digest.update(block)
    return digest.hexdigest()


def absolute(path: str) -> str:
    """The path as its file system knows it, wherever the process stands."""
    return _filesystem(path)[1]


def remove(folder: str) -> None:
    """Removes a staging folder."""
    fs, base = _filesystem(folder)
    if fs.exists(base):
        fs.rm(base, recursive=True)


def _copy(source: str, target: str) -> None:
    """A file, or a folder of parts, from one file system to another."""
    from_fs, _ = _filesystem(source)
    to_fs, local = _filesystem(target)
    if to_fs.exists(local):
        to_fs.rm(local, recursive=True)
    for part in files_of(source):
        copy = target + part[len(source) :]
        to_fs.makedirs(os.path.dirname(copy), exist_ok=True)
        with from_fs.open(part, "rb") as read, to_fs.open(copy, "wb") as written:
            written.write(read.read())


def _write(fs: Any, path: str, frame: pd.DataFrame) -> None:
    with fs.open(path, "wb") as file:
        frame.to_parquet(file, compression=None)


def _filesystem(path: str) -> Tuple[Any, str]:
    fs, local = fsspec.core.url_to_fs(str(path))
    return fs, str(local)


def _number(name: str) -> Tuple[int, str]:
    digits = re.findall(r"[0-9]+", name)
    return (int(digits[-1]) if digits else -1, name)
