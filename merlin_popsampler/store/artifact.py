"""Reads and writes the folder of one fit, the fit artifact, and defines its files.

    unique.<name>.parquet       keys in the order of their ids, or a folder of part.<n>.parquet
    meta.<name>.parquet         where padding, null, unknown keys and keys begin
    popularity.<name>.parquet   counts of all ids from 0 on
    ranks.<name>.int32          id of each rank, if ids are not in frequency order
    map.<name>.parquet          old and new ids, if ids were renumbered
    manifest.json               all these files with their digests, and the popularity metadata

One fit writes a folder, the manifest last. The folder never changes afterwards. A removal begins
with the manifest, so a folder without a manifest is an unfinished or abandoned fit. `<name>` is the
name of the column, or of the group of columns that share the vocabulary. It is encoded so that it
is distinct on every file system.
"""

import io
import json
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Dict, Iterator, List, Mapping, Sequence, Tuple, Union

from merlin_popsampler.contract.metadata import PopularityMetadata
from merlin_popsampler.core.digests import digest_of
from merlin_popsampler.errors import PopSamplerError

from . import filesystem

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

UNIQUE, META, POPULARITY, RANKS, MAP = "unique", "meta", "popularity", "ranks", "map"

CATEGORIES, FREQUENCY_ORDER = "categories", "frequency_order"
"""Folders of the two operators, under their `out_path`."""
_MANIFEST = "manifest.json"
_FORMAT = 1
_PLAIN = re.compile(r"[a-z0-9_][a-z0-9_.-]{0,59}")
_MADE = re.compile(r".*-[0-9a-f]{32}")
"""Pattern of file names that encode other names, see `_safe`."""

Files = Dict[str, str]
"""Digest of each file's bytes, by its path inside the folder."""


@dataclass(frozen=True)
class FitFolder:
    """Names the folder of one fit.

    Args:
      root: an `out_path` or the folder of a saved workflow, a result of `filesystem.absolute`.
      subpath: path of the fit's folder below the root.
    """

    root: str
    subpath: str

    @property
    def path(self) -> str:
        return f"{self.root}/{self.subpath}"


@dataclass(frozen=True)
class FitArtifact:
    """Describes the result of a fit for one column or group, and its files.

    Args:
      folder: the folder of the fit.
      files: by kind of file (`UNIQUE`, `META`, ...), the file or its parts, with their digests.
      metadata: range, order and popularity curve of the ids.
    """

    folder: FitFolder
    files: Mapping[str, Files]
    metadata: PopularityMetadata

    def path(self, kind: str) -> str:
        """Returns the path of the file of a kind, or of the folder of its parts."""
        return f"{self.folder.path}/{next(iter(self.files[kind])).split('/')[0]}"

    @property
    def placed_metadata(self) -> PopularityMetadata:
        """The metadata for a schema, with the path of the file of ids by rank if there is one."""
        if RANKS not in self.files:
            return self.metadata
        return replace(self.metadata, ranks_path=self.path(RANKS))

    def digest(self, kind: str) -> str:
        """Returns the digest of the bytes of a kind's file or parts."""
        return digest_of("".join(self.files[kind].values()).encode())

    def read(self, kind: str) -> Iterator[bytes]:
        """Reads the bytes of a kind's file, or of its parts in order.

        Raises:
          PopSamplerError: a file has been changed, moved or removed since the fit.
        """
        for name, digest in self.files[kind].items():
            yield _checked(f"{self.folder.path}/{name}", digest)

    def contents(self) -> Iterator[Tuple[str, bytes]]:
        """Yields path and bytes of each file, see `read`."""
        for kind, files in self.files.items():
            yield from zip(files, self.read(kind))

    def check_files(self) -> None:
        """Reads all files, and checks their digests; see `read`."""
        for _ in self.contents():
            pass

    def table(self, kind: str) -> "pd.DataFrame":
        """Reads the frame of a kind's file, see `read`."""
        import pandas as pd

        path = self.path(kind)
        return pd.concat([filesystem.parse(content, path) for content in self.read(kind)])


def paths(kind: str, name: str, parts: int) -> List[str]:
    """Returns the path of a file inside the folder of a fit, or the paths of its parts.

    Args:
      kind: kind of the file, such as `UNIQUE`.
      name: name of the vocabulary.
      parts: number of parts; with several, the file is a folder.
    """
    file = f"{kind}.{_safe(name)}.{'int32' if kind == RANKS else 'parquet'}"
    return [file] if parts == 1 else [f"{file}/part.{part}.parquet" for part in range(parts)]


def write(folder: FitFolder, kind: str, name: str, frames: "Sequence[pd.DataFrame]") -> Files:
    """Writes data frames with their index as a file, or as its parts if there are several frames.

    Args:
      folder: the folder of the fit.
      kind: see `paths`.
      name: see `paths`.
      frames: the content of each part.
    """
    import pyarrow as pa

    files: Files = {}
    for path, frame in zip(paths(kind, name, len(frames)), frames):
        files.update(write_part(folder, path, pa.Table.from_pandas(frame)))
    return files


def write_part(
    folder: FitFolder, path: str, table: "pa.Table", repeated: Union[bool, List[str]] = True
) -> Files:
    """Writes a table to a path inside the fit's folder.

    Args:
      folder: the folder of the fit.
      path: path of the file in the folder.
      table: the content of the file.
      repeated: names of the columns whose values repeat, so that a dictionary makes them smaller;
        True to try it for all columns, which takes time.
    """
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="NONE", use_dictionary=repeated)
    return write_content(folder, path, buffer.getvalue())


def write_content(folder: FitFolder, path: str, content: bytes) -> Files:
    """Writes bytes to a path inside the fit's folder."""
    filesystem.write_bytes(f"{folder.path}/{path}", content)
    return {path: digest_of(content)}


def complete(fitted: Mapping[str, FitArtifact]) -> None:
    """Writes the manifest of a fit, which makes the fit complete.

    Args:
      fitted: the artifacts of the fit by name of their vocabulary.

    Raises:
      PopSamplerError: a file is missing, for example since this process does not see the file
        system of a worker.
    """
    for found in fitted.values():
        for name in (name for files in found.files.values() for name in files):
            if not filesystem.exists(f"{found.folder.path}/{name}"):
                raise PopSamplerError(
                    f"Expected the files of the fit in {found.folder.path}. Received: no {name}, "
                    "since it was removed, or a worker wrote it where this process does not see "
                    "it. Pass an out_path that this process and all workers share, and fit again."
                )
    for folder in {found.folder for found in fitted.values()}:
        name, content = manifest_of(fitted)
        filesystem.write_bytes(f"{folder.path}/{name}", content)


def is_complete(folder: FitFolder) -> bool:
    """Tests whether a folder holds a complete fit."""
    return filesystem.exists(f"{folder.path}/{_MANIFEST}")


def remove(folder: FitFolder) -> None:
    """Removes a folder, the manifest first; a later fit removes files that remain."""
    with suppress(OSError):
        filesystem.remove(f"{folder.path}/{_MANIFEST}")
        filesystem.remove(folder.path)


def manifest_of(fitted: Mapping[str, FitArtifact]) -> Tuple[str, bytes]:
    """Returns the file name and the content of a manifest.

    Args:
      fitted: the artifacts by name of their vocabulary.
    """
    columns = {
        name: {"files": dict(found.files), "popularity": found.metadata.to_dict()}
        for name, found in fitted.items()
    }
    return _MANIFEST, json.dumps({"format": _FORMAT, "columns": columns}, indent=1).encode()


def read_manifest(folder: FitFolder) -> Dict[str, FitArtifact]:
    """Reads the artifacts by name of their vocabulary; {} if the folder has no manifest.

    Raises:
      PopSamplerError: the manifest is damaged, or of another version.
    """
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
        "Load the workflow that was saved, or fit again. An operator keeps its last two fits: save "
        "the workflow to keep a fit longer, in a folder that all processes can read."
    )
    try:
        content = filesystem.read_bytes(path)
    except PopSamplerError:
        raise PopSamplerError(
            f"Expected the file that the fit wrote at {path}. Received: no file. {what_to_do}"
        ) from None
    found = digest_of(content)
    if found != digest:
        raise PopSamplerError(
            f"Expected the file that the fit wrote (digest {digest}) at {path}. Received: another "
            f"file (digest {found}). {what_to_do}"
        )
    return content


def _safe(name: str) -> str:
    """Encodes a name as a file name that is valid and distinct on every file system.

    It contains no separator of paths, and no character of a pattern.
    """
    if _PLAIN.fullmatch(name) and not _MADE.fullmatch(name):
        return name
    plain = re.sub(r"[^a-z0-9_.-]", "_", name.lower())[:40]
    return f"{plain}-{digest_of(name.encode('utf-8', 'surrogatepass'))}"


def size_column(name: str) -> str:
    """Returns the name of the column that holds the occurrences in a `unique.*` file."""
    return f"{name}_size"
