"""Parquet files and folders of parts on any file system: staged, published, copied, told apart."""

import os
from hashlib import blake2b
from typing import Any, List, Sequence, Tuple

import fsspec
import numpy as np
import pandas as pd
from fsspec.implementations.local import LocalFileSystem

from merlin_popsampler.core.pieces import Ints
from merlin_popsampler.errors import PopSamplerError

from . import fit_folder


def publish(file_names: Sequence[str], source: str, folder: str) -> None:
    """Moves files from a staging folder into place; those not staged are stale there, and go."""
    fs, target = _filesystem(folder)
    _, staged = _filesystem(source)
    fs.makedirs(target, exist_ok=True)
    for file in file_names:
        if fs.exists(f"{target}/{file}"):
            fs.rm(f"{target}/{file}", recursive=True)
        if fs.exists(f"{staged}/{file}"):
            fs.mv(f"{staged}/{file}", f"{target}/{file}", recursive=True)


def copy(file_names: Sequence[str], source: str, folder: str) -> None:
    """Copies those of the files that are there to a folder, of any file system."""
    from_fs, _ = _filesystem(source)
    to_fs, _ = _filesystem(folder)
    for file in file_names:
        if to_fs.exists(f"{folder}/{file}"):
            to_fs.rm(f"{folder}/{file}", recursive=True)
        if not from_fs.exists(f"{source}/{file}"):
            continue
        for part in parts_of(f"{source}/{file}"):
            target = folder + part[len(source) :]
            to_fs.makedirs(os.path.dirname(target), exist_ok=True)
            with from_fs.open(part, "rb") as read, to_fs.open(target, "wb") as written:
                written.write(read.read())


def remove(folder: str) -> None:
    """Removes a folder, if it is there."""
    fs, local = _filesystem(folder)
    if fs.exists(local):
        fs.rm(local, recursive=True)


def write(path: str, frame: pd.DataFrame) -> None:
    """Writes a frame, its index included, making folders on the way."""
    fs, local = _filesystem(path)
    fs.makedirs(os.path.dirname(local), exist_ok=True)
    with fs.open(local, "wb") as file:
        frame.to_parquet(file, compression=None)


def read(path: str) -> pd.DataFrame:
    """A frame, its index included, from a file or from the parts of a folder in their order.

    Raises:
      PopSamplerError: nothing is there, or no parquet.
    """
    if not exists(path):
        raise PopSamplerError(
            f"Expected a parquet file. Received: nothing at {path}. The files of a fit belong "
            "together: was it moved or removed?"
        )
    fs, _ = _filesystem(path)
    frames = []
    for part in parts_of(path):
        with fs.open(part, "rb") as file:
            try:
                frames.append(pd.read_parquet(file))
            except ValueError as error:  # pyarrow's ArrowInvalid among them
                raise PopSamplerError(
                    f"Expected a parquet file. Received: {part}, {error}. Was it cut short, or "
                    "written over? Fit again."
                ) from error
    return frames[0] if len(frames) == 1 else pd.concat(frames)


def exists(path: str) -> bool:
    """Whether there is a file or folder of that path."""
    fs, local = _filesystem(path)
    return bool(fs.exists(local))


def parts_of(path: str) -> List[str]:
    """The file itself, or the parts of a folder in the order of their numbers."""
    fs, local = _filesystem(path)
    if not fs.isdir(local):
        return [path]
    names = [os.path.basename(str(part)) for part in fs.ls(local, detail=False)]
    return [f"{path}/{name}" for name in fit_folder.parts_in(names)]


def absolute(path: str) -> str:
    """One spelling for one place, wherever the process stands: without links and dots."""
    fs, local = _filesystem(path)
    return os.path.realpath(local) if isinstance(fs, LocalFileSystem) else local


def file_digest(path: str) -> str:
    """Digest of the bytes of a file, or of the parts of a folder one after the other."""
    digest = blake2b(digest_size=16)
    fs, _ = _filesystem(path)
    for part in parts_of(path):
        with fs.open(part, "rb") as file:
            for block in iter(lambda: file.read(1 << 24), b""):
                digest.update(block)
    return digest.hexdigest()


def check_digest(path: str, expected: str) -> None:
    """Refuses a file that somebody else wrote, moved or removed since the fit.

    Raises:
      PopSamplerError: the file is gone, or another one.
    """
    found = file_digest(path) if exists(path) else None
    if found != expected:
        raise PopSamplerError(
            f"Expected the file that was fitted (digest {expected}) at {path}. "
            f"Received: {'no file' if found is None else f'one of digest {found}'}. Another "
            "workflow with the same out_path may have written over it: give each its own "
            "out_path, and fit again."
        )


def write_counts(path: str, counts: Ints) -> str:
    """Writes the counts of the ids 0 to `len(counts) - 1`, and returns their digest."""
    write(path, pd.DataFrame({"id": np.arange(len(counts)), "count": counts.astype(np.int64)}))
    return counts_digest(counts)


def counts_digest(counts: Ints) -> str:
    """Digest of the counts themselves, the same whatever library wrote the file."""
    little_endian = np.ascontiguousarray(counts, dtype="<i8")
    return blake2b(little_endian.tobytes(), digest_size=16).hexdigest()


def read_counts(path: str) -> Ints:
    """Counts of the ids from 0 on, int64 `[max_id + 1]`, from a `popularity.*` file.

    Raises:
      PopSamplerError: no such file.
    """
    frame = read(path)
    if list(frame.columns) != ["id", "count"] or not np.array_equal(
        frame["id"], np.arange(len(frame))
    ):
        raise PopSamplerError(
            f"Expected a counts file (columns id and count, ids 0, 1, 2, ...). Received: {path} "
            f"with columns {list(frame.columns)}. Pass a popularity.<column>.parquet."
        )
    counts: Ints = frame["count"].to_numpy(np.int64)
    return counts


def _filesystem(path: str) -> Tuple[Any, str]:
    fs, local = fsspec.core.url_to_fs(str(path))
    return fs, str(local)
