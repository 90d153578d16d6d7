"""Encodes and reads the file of ids by rank, for ids that are not in frequency order.

The file holds the id of each rank as four bytes, little-endian, the most frequent item first.
Samplers read it once, in `from_schema`.
"""

import numpy as np

from merlin_popsampler.core.digests import digest_of
from merlin_popsampler.core.segments import Ints
from merlin_popsampler.errors import PopSamplerError, SchemaError

from .files import read_bytes
from .metadata import PopularityMetadata

_DTYPE = np.dtype("<i4")


def encode_ids_by_rank(ids: Ints) -> bytes:
    r"""Returns the content of the file.

    Args:
      ids: integers `[ranks]`, from 0 to 2**31 - 1.

    Examples:
      >>> encode_ids_by_rank(np.array([5, 3]))
      b'\x05\x00\x00\x00\x03\x00\x00\x00'
    """
    return ids.astype(_DTYPE).tobytes()


def read_ids_by_rank(metadata: PopularityMetadata, column: str) -> Ints:
    """Returns the id of each rank, int64 `[ranks]`, the most frequent item first.

    It reads the file at `metadata.ranks_path`. If ids are in frequency order, it needs no file.

    Args:
      metadata: metadata of a column whose ranks are known.
      column: name of the column, for messages.

    Raises:
      SchemaError: the file is absent, or belongs to another fit.

    Examples:
      >>> read_ids_by_rank(PopularityMetadata(3, 5, True, "counted", "3:9,4:10,6"), "item").tolist()
      [3, 4, 5]
    """
    ranks = metadata.rank_domain
    if metadata.ranks_digest is None:
        return np.arange(ranks.min_id, ranks.max_id + 1)
    content = _checked(metadata, column)
    ids = np.frombuffer(content, _DTYPE).astype(np.int64) if len(content) % 4 == 0 else None
    if ids is None or len(ids) != ranks.size or not metadata.domain.contains(ids).all():
        raise _other_file(metadata, column, f"{len(content)} bytes, which are not these ids")
    return ids


def _checked(metadata: PopularityMetadata, column: str) -> bytes:
    path = metadata.ranks_path
    if path is None:
        raise _other_file(metadata, column, "a schema that does not name its path")
    try:
        content = read_bytes(path)
    except PopSamplerError:
        raise
    except Exception as error:  # the file systems raise different errors
        raise _other_file(metadata, column, f"{type(error).__name__}, {error}") from error
    found = digest_of(content)
    if found != metadata.ranks_digest:
        raise _other_file(metadata, column, f"another file (digest {found})")
    return content


def _other_file(metadata: PopularityMetadata, column: str, received: str) -> SchemaError:
    error: SchemaError = SchemaError(
        f"Column {column!r}: expected the file of its ids by rank at {metadata.ranks_path!r} "
        f"(digest {metadata.ranks_digest}), since its ids keep their numbers and are not in "
        f"frequency order. Received: {received}. Keep the folder of the fit where the schema "
        "names it, or use from_counts with the popularity.<column>.parquet of that fit, and "
        f"reserved_ids=range({metadata.min_id}). A saved workflow holds a copy in categories/."
    )
    return error
