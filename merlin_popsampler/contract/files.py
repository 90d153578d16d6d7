"""Reads the few files that training needs, without Merlin, pandas or pyarrow."""

import os
from typing import Any

from merlin_popsampler.errors import SchemaError


def is_file(path: str) -> bool:
    """Tests whether a file exists.

    Args:
      path: a local path, or a remote one such as "s3://...", which fsspec opens.

    Raises:
      SchemaError: the path is remote, and fsspec is not installed, or does not know its
        file system.
    """
    if "://" not in path:
        return os.path.isfile(path)
    core = _fsspec(path).core
    try:
        file_system, inner = core.url_to_fs(path)
    except (ImportError, ValueError) as error:
        raise SchemaError(
            f"Expected a URL of a schema that fsspec can open. Received: {path!r} ({error}). "
            "Correct the URL, or install the package of its file system."
        ) from error
    return bool(file_system.isfile(inner))


def read_bytes(path: str) -> bytes:
    """Reads a whole file; errors of the file system are raised as they are.

    Args:
      path: see `is_file`.

    Raises:
      SchemaError: the path is remote, and fsspec is not installed.
    """
    if "://" not in path:
        with open(path, "rb") as local:
            return local.read()
    with _fsspec(path).open(path, "rb") as remote:
        return bytes(remote.read())


def _fsspec(path: str) -> Any:
    """Imports the library that opens remote paths; local paths need only the standard library."""
    try:
        import fsspec
    except ImportError:
        raise SchemaError(
            f"Expected fsspec, which opens remote paths. Received: {path!r} without it. Install "
            "it, and the package of that file system, or copy the schema's file."
        ) from None
    return fsspec
