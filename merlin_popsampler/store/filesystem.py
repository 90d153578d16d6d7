"""Reads and writes bytes and data frames under exact names, on any file system.

Names are never patterns. Recursive calls of fsspec interpret brackets and stars, so this module
uses none. pandas is imported on first use, since some reports read no table.
"""

import io
import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Iterable, List, Tuple

import fsspec
from fsspec.implementations.local import LocalFileSystem

from merlin_popsampler.errors import PopSamplerError

if TYPE_CHECKING:
    import pandas as pd


_URL = re.compile(r"(file|local):|([a-z0-9+.-]{2,}::)*[a-z0-9+.-]{2,}://", re.IGNORECASE)
"""Pattern of URLs; any other string is a local path, taken literally."""


def make_folder(path: str) -> None:
    """Creates a local folder and its parents; object stores have no folders.

    Raises:
      PopSamplerError: the folder cannot be created.
    """
    fs, local = _filesystem(path)
    if not isinstance(fs, LocalFileSystem):
        return
    try:
        fs.makedirs(local, exist_ok=True)
    except OSError as error:
        raise _no_folder(path, error) from error


def write_bytes(path: str, content: bytes) -> None:
    """Writes a file and its folders atomically, so that readers never see a part of it.

    No other process may write the file at the same time.
    """
    fs, local = _filesystem(path)
    fs.makedirs(os.path.dirname(local), exist_ok=True)
    if not isinstance(fs, LocalFileSystem):
        fs.pipe_file(local, content)  # an object appears when it is complete
        return
    staging = f"{local}.tmp"
    with fs.open(staging, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())  # so that a crash cannot leave an empty file under this name
    os.replace(staging, local)


def put(path: str, contents: Iterable[Tuple[str, bytes]], staging: str) -> None:
    """Replaces a file, or a folder of files.

    Args:
      path: path of the file or folder.
      contents: pairs of a path in the folder ("" for a file itself) and its bytes. Local files
        appear all at once. In an object store they appear in this order.
      staging: a folder on the same file system, a result of `absolute`. Local files are written
        there before they are renamed. An error may leave some of them there.
    """
    fs, local = _filesystem(path)
    renames = isinstance(fs, LocalFileSystem)
    target = f"{staging}/{os.path.basename(local)}" if renames else path
    remove(target)
    for name, content in contents:
        write_bytes(f"{target}/{name}".rstrip("/"), content)
    if renames:
        fs.makedirs(os.path.dirname(local), exist_ok=True)
        try:
            os.replace(target, local)
        except OSError:  # the folder is not empty, or a file is in its place
            remove(path)
            os.replace(target, local)


def read_bytes(path: str) -> bytes:
    """Reads the content of a file.

    Raises:
      PopSamplerError: there is no such file.
    """
    fs, local = _filesystem(path)
    try:
        with fs.open(local, "rb") as file:
            return bytes(file.read())
    except (FileNotFoundError, IsADirectoryError):
        raise PopSamplerError(
            f"Expected a file. Received: nothing at {path}. Was it moved or removed? Pass its new "
            "path, or fit again."
        ) from None


def remove(path: str) -> None:
    """Removes a file, a link, or a folder with its content, if it exists."""
    fs, local = _filesystem(path)
    with suppress(FileNotFoundError):  # another process may remove files as well
        if fs.isfile(local) or (isinstance(fs, LocalFileSystem) and fs.islink(local)):
            fs.rm_file(local)
            return
    folders = []
    for folder, _, files in fs.walk(local):
        folders.append(folder)
        for name in files:
            with suppress(FileNotFoundError):
                fs.rm_file(f"{folder}/{name}")
    for folder in reversed(folders):
        with suppress(OSError):  # object stores have no folders
            fs.rmdir(folder)


def exists(path: str) -> bool:
    """Tests whether a file or folder exists; errors of the file system are raised."""
    fs, local = _filesystem(path)
    try:
        fs.info(local)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def is_file(path: str) -> bool:
    """Tests whether a file exists."""
    fs, local = _filesystem(path)
    return bool(fs.isfile(local))


def names_in(folder: str) -> List[str]:
    """Lists the names of files and folders in a folder, sorted; empty if there is no folder."""
    fs, local = _filesystem(folder)
    try:
        entries = fs.ls(local, detail=False) if fs.isdir(local) else []
    except FileNotFoundError:  # another process removed the folder after the test
        return []
    return sorted(os.path.basename(str(entry).rstrip("/")) for entry in entries)


def absolute(path: str) -> str:
    """Returns the absolute path without links and dots, which identifies a file or folder.

    Raises:
      PopSamplerError: no local file can have this name.
    """
    fs, local = _filesystem(path)
    if not isinstance(fs, LocalFileSystem):
        return str(fs.unstrip_protocol(local))
    try:
        return os.path.realpath(local)
    except ValueError as error:
        raise _no_folder(path, error) from error


def read_table(path: str) -> "pd.DataFrame":
    """Reads a frame with its index from a parquet file, or from the parts in a folder, in order.

    Raises:
      PopSamplerError: there is no such file, or it is not parquet.
    """
    fs, local = _filesystem(path)
    if not fs.isdir(local):
        return parse(read_bytes(path), path)
    import pandas as pd

    parts = sorted((name for name in names_in(path) if name.endswith(".parquet")), key=_number)
    return pd.concat([parse(read_bytes(f"{path}/{name}"), path) for name in parts])


def parse(content: bytes, path: str) -> "pd.DataFrame":
    """Reads a frame from the bytes of a parquet file.

    Raises:
      PopSamplerError: the bytes are not parquet; the message names `path`.
    """
    import pandas as pd

    try:
        return pd.read_parquet(io.BytesIO(content))
    except ValueError as error:  # includes pyarrow's ArrowInvalid
        raise PopSamplerError(
            f"Expected a parquet file. Received: {path}, {error}. Was it cut short, or written "
            "over? Fit again."
        ) from error


def _no_folder(path: str, error: Exception) -> PopSamplerError:
    refused: PopSamplerError = PopSamplerError(
        f"Expected a folder that can be written. Received: {path!r} ({error}). Pass a folder that "
        "you may write to, or that can be created."
    )
    return refused


def _number(name: str) -> Tuple[int, str]:
    digits = re.findall(r"[0-9]+", name)
    return (int(digits[-1]) if digits else -1, name)


def _filesystem(path: str) -> Tuple[Any, str]:
    path = str(path)
    if not _URL.match(path):  # fsspec would interpret "::" and "://" in it
        return LocalFileSystem(), os.path.abspath(os.path.expanduser(path))
    if "::" in path:
        raise PopSamplerError(
            f"Expected a path, or a URL of one file system. Received: {path!r}, which fsspec reads "
            "as a chain of several. Name the folder without '::'."
        )
    # Object stores cache listings, which would hide files that another process has written.
    try:
        fs, local = fsspec.core.url_to_fs(path, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        raise PopSamplerError(
            f"Expected a URL of a file system that fsspec can open. Received: {path!r} ({error}). "
            "Install the package of that file system, or correct the URL."
        ) from error
    return fs, str(local)
