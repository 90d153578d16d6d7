"""The folder of one fit: the only module that knows what is in it.

    unique.<name>.parquet       keys in the order of their ids, or a folder of part.<n>.parquet
    meta.<name>.parquet         where padding, null, unknown keys and keys begin
    popularity.<name>.parquet   counts of all ids from 0 on
    map.<name>.parquet          old ids and new ones, where ids were put in order
    manifest.json               all these files with their digests, and the contracts

A folder is written by one fit, the manifest last, never changed, and removed manifest first: what
has no manifest is on its way, or was given up. `<name>` is the column's, or that of the group of
columns which share the vocabulary, in letters that every file system keeps apart.
"""

import io
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Dict, Iterator, List, Mapping, Sequence, Tuple

from merlin_popsampler.contract.metadata import PopularityMetadata
from merlin_popsampler.errors import PopSamplerError

from . import filesystem

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

UNIQUE, META, POPULARITY, MAP = "unique", "meta", "popularity", "map"

CATEGORIES, FREQUENCY_ORDER = "categories", "frequency_order"
"""Folders of the two operators, under their `out_path`."""
_MANIFEST = "manifest.json"
_FORMAT = 1
_PLAIN = re.compile(r"[a-z0-9_][a-z0-9_.-]{0,59}")
_MADE = re.compile(r".*-[0-9a-f]{32}")
"""File names that stand for names which are not plain, see `_safe`."""

Files = Dict[str, str]
"""Digest of each file's bytes, by its path inside the folder."""


@dataclass(frozen=True)
class FitFolder:
    """The folder of one fit.

    Args:
      root: an `out_path` or a saved workflow's folder, as `filesystem.absolute` spells it.
      place: of the fit's folder in it.
    """

    root: str
    place: str

    @property
    def path(self) -> str:
        return f"{self.root}/{self.place}"


@dataclass(frozen=True)
class FitArtifact:
    """What a fit found of one column or group, and where it wrote it.

    Args:
      folder: the fit's.
      files: by kind, the file or the parts of it.
      metadata: range, order and popularity curve of the ids.
    """

    folder: FitFolder
    files: Mapping[str, Files]
    metadata: PopularityMetadata

    def path(self, kind: str) -> str:
        """Of the file of a kind, or of the folder of its parts."""
        return f"{self.folder.path}/{next(iter(self.files[kind])).split('/')[0]}"

    def digest(self, kind: str) -> str:
        """Digest of the bytes of a kind's file or parts."""
        return filesystem.digest_of("".join(self.files[kind].values()).encode())

    def read(self, kind: str) -> Iterator[bytes]:
        """The bytes of a kind's file, or of its parts in their order: those that the fit wrote.

        Raises:
          PopSamplerError: somebody else wrote, moved or removed a file since.
        """
        for name, digest in self.files[kind].items():
            yield _checked(f"{self.folder.path}/{name}", digest)

    def contents(self) -> Iterator[Tuple[str, bytes]]:
        """Each file's path inside the folder and its bytes, see `read`."""
        for kind, files in self.files.items():
            yield from zip(files, self.read(kind))

    def check_files(self) -> None:
        """Reads all files, see `read`."""
        for _ in self.contents():
            pass

    def table(self, kind: str) -> "pd.DataFrame":
        """The frame of a kind's file, see `read`."""
        import pandas as pd

        path = self.path(kind)
        return pd.concat([filesystem.parse(content, path) for content in self.read(kind)])


def paths(kind: str, name: str, parts: int) -> List[str]:
    """Of a file inside a fit's folder, or of its parts, where there are several.

    Args:
      kind: of the file.
      name: the vocabulary's.
      parts: how many it has.
    """
    file = f"{kind}.{_safe(name)}.parquet"
    return [file] if parts == 1 else [f"{file}/part.{part}.parquet" for part in range(parts)]


def write(folder: FitFolder, kind: str, name: str, frames: "Sequence[pd.DataFrame]") -> Files:
    """Writes a file, or the parts of one where there are several frames, whose index is written.

    For the arguments see `paths`.
    """
    import pyarrow as pa

    files: Files = {}
    for path, frame in zip(paths(kind, name, len(frames)), frames):
        files.update(write_part(folder, path, pa.Table.from_pandas(frame)))
    return files


def write_part(folder: FitFolder, path: str, table: "pa.Table") -> Files:
    """Writes a table to a path inside the fit's folder."""
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="NONE")
    filesystem.write_bytes(f"{folder.path}/{path}", buffer.getvalue())
    return {path: filesystem.digest_of(buffer.getvalue())}


def complete(fitted: Mapping[str, FitArtifact]) -> None:
    """Writes the manifest of the folder of one fit, by which it counts as complete.

    Raises:
      PopSamplerError: what the workers wrote is not there for this process.
    """
    for found in fitted.values():
        for name in (name for files in found.files.values() for name in files):
            if not filesystem.exists(f"{found.folder.path}/{name}"):
                raise PopSamplerError(
                    f"Expected what the fit wrote in {found.folder.path}. Received: no {name}, "
                    "since it was removed, or a worker wrote it where this process does not see "
                    "it. Pass an out_path that this process and all workers share, and fit again."
                )
    for folder in {found.folder for found in fitted.values()}:
        name, content = manifest_of(fitted)
        filesystem.write_bytes(f"{folder.path}/{name}", content)


def is_complete(folder: FitFolder) -> bool:
    """Whether a fit has written all of it."""
    return filesystem.exists(f"{folder.path}/{_MANIFEST}")


def remove(folder: FitFolder) -> None:
    """Removes a folder, the manifest first: what cannot be removed now is left to a later fit."""
    with suppress(OSError):
        filesystem.remove(f"{folder.path}/{_MANIFEST}")
        filesystem.remove(folder.path)


def manifest_of(fitted: Mapping[str, FitArtifact]) -> Tuple[str, bytes]:
    """Path inside the folder and bytes of a manifest, by the names of what was fitted."""
    columns = {
        name: {"files": dict(found.files), "popularity": found.metadata.to_dict()}
        for name, found in fitted.items()
    }
    return _MANIFEST, json.dumps({"format": _FORMAT, "columns": columns}, indent=1).encode()


def read_manifest(folder: FitFolder) -> Dict[str, FitArtifact]:
    """What a folder's manifest says; nothing where there is none, or no longer."""
    path = f"{folder.path}/{_MANIFEST}"
    try:
        content = filesystem.read_bytes(path)
    except PopSamplerError:
        return {}
    try:
        manifest = json.loads(content)
        if manifest["format"] != _FORMAT:
            raise ValueError(f"format {manifest['format']}")
        return {
            name: FitArtifact(
                folder, column["files"], PopularityMetadata.from_dict(column["popularity"], name)
            )
            for name, column in manifest["columns"].items()
        }
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise PopSamplerError(
            f"Expected the manifest of a fit in {path}. Received: {type(error).__name__}, {error}. "
            "Remove that folder, and fit again with this version of merlin_popsampler."
        ) from error


def _checked(path: str, digest: str) -> bytes:
    what_to_do = (
        "Load the workflow that was saved, or fit again. A fit that is to outlast the operator's "
        "next two must be saved, where all processes that use it see it."
    )
    try:
        content = filesystem.read_bytes(path)
    except PopSamplerError:
        raise PopSamplerError(
            f"Expected the file that was fitted at {path}. Received: no file. {what_to_do}"
        ) from None
    found = filesystem.digest_of(content)
    if found != digest:
        raise PopSamplerError(
            f"Expected the file that was fitted (digest {digest}) at {path}. Received: one of "
            f"digest {found}. {what_to_do}"
        )
    return content


def _safe(name: str) -> str:
    """A file's name that no file system reads as a path or a pattern, or takes for another's."""
    if _PLAIN.fullmatch(name) and not _MADE.fullmatch(name):
        return name
    plain = re.sub(r"[^a-z0-9_.-]", "_", name.lower())[:40]
    return f"{plain}-{filesystem.digest_of(name.encode('utf-8', 'surrogatepass'))}"


def size_column(name: str) -> str:
    """Column of the occurrences beside the keys of a `unique.*` file."""
    return f"{name}_size"
