"""Bytes and data frames under exact names, on any file system.

Names are never patterns: fsspec's recursive calls read brackets and stars as such, so none is used.
Reports that read no table start without pandas.
"""

import io
import os
import re
from contextlib import suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Iterable, List, Tuple

import fsspec
from fsspec.implementations.local import LocalFileSystem

from merlin_popsampler.errors import PopSamplerError

if TYPE_CHECKING:
    import pandas as pd


_URL = re.compile(r"(file|local):|([a-z0-9+.-]{2,}::)*[a-z0-9+.-]{2,}://", re.IGNORECASE)
"""How a URL begins; all else is a path of this machine, letter by letter."""


def make_folder(path: str) -> None:
    """Makes a local folder, and those on the way; object stores have none.

    Raises:
      PopSamplerError: it cannot be made.
    """
    fs, local = _filesystem(path)
    if not isinstance(fs, LocalFileSystem):
        return
    try:
        fs.makedirs(local, exist_ok=True)
    except OSError as error:
        raise _no_folder(path, error) from error


def write_bytes(path: str, content: bytes) -> None:
    """Writes a file, making folders on the way: whoever looks sees it whole or not at all.

    Nobody else may write it at that time.
    """
    fs, local = _filesystem(path)
    fs.makedirs(os.path.dirname(local), exist_ok=True)
    if not isinstance(fs, LocalFileSystem):
        fs.pipe_file(local, content)  # what is put there appears when all of it is
        return
    beside = f"{local}.tmp"
    with fs.open(beside, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())  # a name that outlives the machine must not stand for nothing
    os.replace(beside, local)


def put(path: str, contents: Iterable[Tuple[str, bytes]], beside: str) -> None:
    """Puts a file, or a folder of files, in the place of what is there.

    Args:
      path: of the file or folder.
      contents: the files' paths in the folder, "" for a file itself, and their bytes, in the order
        in which they appear in an object store; elsewhere they appear at once.
      beside: a folder on the same file system, as `absolute` spells it, where local files are
        written before they are renamed. Whatever fails may leave some there.
    """
    fs, local = _filesystem(path)
    renames = isinstance(fs, LocalFileSystem)
    place = f"{beside}/{os.path.basename(local)}" if renames else path
    remove(place)
    for name, content in contents:
        write_bytes(f"{place}/{name}".rstrip("/"), content)
    if renames:
        fs.makedirs(os.path.dirname(local), exist_ok=True)
        try:
            os.replace(place, local)
        except OSError:  # a folder that is not empty, or a file where a folder is to be
            remove(path)
            os.replace(place, local)


def read_bytes(path: str) -> bytes:
    """The content of a file.

    Raises:
      PopSamplerError: there is none.
    """
    fs, local = _filesystem(path)
    try:
        with fs.open(local, "rb") as file:
            return bytes(file.read())
    except (FileNotFoundError, IsADirectoryError):
        raise PopSamplerError(
            f"Expected a file. Received: nothing at {path}. Was it moved or removed? Name the "
            "place where it is now, or fit again."
        ) from None


def remove(path: str) -> None:
    """Removes a file, a link, or a folder and all that is below, if it is there."""
    fs, local = _filesystem(path)
    with suppress(FileNotFoundError):  # another process may remove anything of it, too
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
    """Whether there is a file or folder of that path; a file system that fails raises."""
    fs, local = _filesystem(path)
    try:
        fs.info(local)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def is_file(path: str) -> bool:
    """Whether there is a file of that path."""
    fs, local = _filesystem(path)
    return bool(fs.isfile(local))


def names_in(folder: str) -> List[str]:
    """Names of the files and folders in a folder, sorted; none where there is no folder."""
    fs, local = _filesystem(folder)
    try:
        entries = fs.ls(local, detail=False) if fs.isdir(local) else []
    except FileNotFoundError:  # it was there
        return []
    return sorted(os.path.basename(str(entry).rstrip("/")) for entry in entries)


def absolute(path: str) -> str:
    """One spelling for one place, wherever the process stands: without links and dots.

    Raises:
      PopSamplerError: a name that no local file can have.
    """
    fs, local = _filesystem(path)
    if not isinstance(fs, LocalFileSystem):
        return str(fs.unstrip_protocol(local))
    try:
        return os.path.realpath(local)
    except ValueError as error:
        raise _no_folder(path, error) from error


def digest_of(content: bytes) -> str:
    """Digest of bytes, 32 hexadecimal digits."""
    return digest_of_all([content])


def digest_of_all(contents: Iterable[bytes]) -> str:
    """Digest of the bytes one after the other, of which one piece at a time is held."""
    digest = blake2b(digest_size=16)
    for content in contents:
        digest.update(content)
    return digest.hexdigest()


def read_table(path: str) -> "pd.DataFrame":
    """A frame, its index included, from a parquet file or from a folder's parts in their order.

    Raises:
      PopSamplerError: nothing is there, or no parquet.
    """
    fs, local = _filesystem(path)
    if not fs.isdir(local):
        return parse(read_bytes(path), path)
    import pandas as pd

    parts = sorted((name for name in names_in(path) if name.endswith(".parquet")), key=_number)
    return pd.concat([parse(read_bytes(f"{path}/{name}"), path) for name in parts])


def parse(content: bytes, path: str) -> "pd.DataFrame":
    """The frame that a parquet file's bytes hold.

    Raises:
      PopSamplerError: no parquet; `path` is for the message.
    """
    import pandas as pd

    try:
        return pd.read_parquet(io.BytesIO(content))
    except ValueError as error:  # pyarrow's ArrowInvalid among them
        raise PopSamplerError(
            f"Expected a parquet file. Received: {path}, {error}. Was it cut short, or written "
            "over? Fit again."
        ) from error


def _no_folder(path: str, error: Exception) -> PopSamplerError:
    refused: PopSamplerError = PopSamplerError(
        f"Expected a folder that can be written. Received: {path!r} ({error}). Pass a folder of "
        "yours, or one that can be made."
    )
    return refused


def _number(name: str) -> Tuple[int, str]:
    digits = re.findall(r"[0-9]+", name)
    return (int(digits[-1]) if digits else -1, name)


def _filesystem(path: str) -> Tuple[Any, str]:
    path = str(path)
    if not _URL.match(path):  # fsspec would take "::" and "://" in it for those of a URL
        return LocalFileSystem(), os.path.abspath(os.path.expanduser(path))
    if "::" in path:
        raise PopSamplerError(
            f"Expected a path, or a URL of one file system. Received: {path!r}, which fsspec reads "
            "as a chain of several. Name the folder without '::'."
        )
    # Object stores remember what they listed, and would not see what another process wrote since.
    fs, local = fsspec.core.url_to_fs(path, use_listings_cache=False)
    return fs, str(local)
