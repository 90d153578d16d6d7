"""Folders of fits: the only module that knows where they lie and what is in them.

    <out_path>/categories/.fits/<time>-<host>-<process>-<number>/          of FrequencyCategorify
    <out_path>/frequency_order/.fits/<time>-<host>-<process>-<number>/     of FrequencyOrder
    <save>/popsampler/<digest of the manifest>/                            in a saved workflow
        unique.<name>.parquet       keys in the order of their ids, or a folder of part.<n>.parquet
        meta.<name>.parquet         where padding, null, unknown keys and keys begin
        popularity.<name>.parquet   counts of all ids from 0 on
        map.<name>.parquet          old ids and new ones, where ids were put in order
        manifest.json               all these files with their digests, and the contracts

A folder is written by one fit, the manifest last, and never changed: what has no manifest is on its
way, or was given up. `<name>` is the column's, or that of the group of columns which share the
vocabulary, in letters that every file system keeps apart.
"""

import io
import json
import os
import platform
import re
import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import (
    TYPE_CHECKING,
    AbstractSet,
    Dict,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    TypeVar,
)

from merlin_popsampler.contract.metadata import PopularityMetadata
from merlin_popsampler.errors import PopSamplerError

from . import storage

if TYPE_CHECKING:
    import pandas as pd

UNIQUE, META, POPULARITY, MAP = "unique", "meta", "popularity", "map"

CATEGORIES, FREQUENCY_ORDER = "categories", "frequency_order"
"""Folders of the two operators, under their `out_path`."""
_FITS = ".fits"
_SAVED = "popsampler"
_MANIFEST = "manifest.json"
_FORMAT = 1
MARK = b"merlin_popsampler"
"""Key that a fit's parquet files bear among their metadata."""
_ABANDONED = timedelta(days=1)
_TIME = "%Y%m%dT%H%M%S.%f"
_WRITER = re.compile(r"([0-9T.]+)-(.+)-([0-9]+)-[0-9a-f]+")
_PLAIN = re.compile(r"[a-z0-9_][a-z0-9_.-]{0,59}")

Files = Dict[str, str]
"""Digest of each file's bytes, by its path inside the folder."""
AnyFitted = TypeVar("AnyFitted", bound="Fitted")


@dataclass(frozen=True)
class FitFolder:
    """The folder of one fit.

    Args:
      root: an `out_path` or a saved workflow's folder, as `storage.absolute` spells it.
      place: of the fit's folder in it.
    """

    root: str
    place: str

    @property
    def path(self) -> str:
        return f"{self.root}/{self.place}"

    def is_later(self, other: "FitFolder") -> bool:
        """Whether its fit began after the other's; False also where names tell no time."""
        ours, theirs = (_WRITER.fullmatch(one.place.split("/")[-1]) for one in (self, other))
        return bool(ours and theirs and ours.group(1) > theirs.group(1))


@dataclass(frozen=True)
class Fitted:
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
        return storage.digest_of("".join(self.files[kind].values()).encode())

    def read(self, kind: str) -> Iterator[bytes]:
        """The bytes of a kind's file, or of its parts in their order: those that the fit wrote.

        Raises:
          PopSamplerError: somebody else wrote, moved or removed a file since.
        """
        for name, digest in self.files[kind].items():
            yield _checked(f"{self.folder.path}/{name}", digest)

    def check_files(self) -> None:
        """Reads all files, see `read`."""
        for kind in self.files:
            for _ in self.read(kind):
                pass

    def table(self, kind: str) -> "pd.DataFrame":
        """The frame of a kind's file, see `read`."""
        import pandas as pd

        path = self.path(kind)
        return pd.concat([storage.parse(content, path) for content in self.read(kind)])


def new_folder(root: str, subfolder: str) -> FitFolder:
    """A folder that nobody else writes a fit to; later ones come later in the order of names."""
    time = datetime.now(timezone.utc).strftime(_TIME)
    name = f"{time}-{_host()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    return FitFolder(root, f"{subfolder}/{_FITS}/{name}")


def write(folder: FitFolder, kind: str, name: str, frames: "Sequence[pd.DataFrame]") -> Files:
    """Writes a file, or the parts of one where there are several frames.

    Args:
      folder: the fit's.
      kind: of the file.
      name: the vocabulary's.
      frames: whose index is written as well.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = f"{kind}.{_safe(name)}.parquet"
    names = [file]
    if len(frames) > 1:
        names = [f"{file}/part.{part}.parquet" for part in range(len(frames))]
    files = {}
    for path, frame in zip(names, frames):
        table = pa.Table.from_pandas(frame)
        table = table.replace_schema_metadata({**table.schema.metadata, MARK: b"fit"})
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="NONE")
        storage.write_bytes(f"{folder.path}/{path}", buffer.getvalue())
        files[path] = storage.digest_of(buffer.getvalue())
    return files


def complete(fitted: Mapping[str, Fitted]) -> None:
    """Writes the manifest of the folder of one fit, by which it counts as complete."""
    for folder in {found.folder for found in fitted.values()}:
        storage.write_bytes(f"{folder.path}/{_MANIFEST}", _manifest(fitted))


def fits_below(root: str) -> List[Dict[str, Fitted]]:
    """The complete fits in an `out_path`, one of its folders or a saved workflow, oldest first.

    Raises:
      PopSamplerError: a manifest that cannot be read.
    """
    root = storage.absolute(root)
    found = []
    for subfolder in (f"{CATEGORIES}/{_FITS}", f"{FREQUENCY_ORDER}/{_FITS}", _FITS, _SAVED):
        for name in storage.names_in(f"{root}/{subfolder}"):
            folder = FitFolder(root, f"{subfolder}/{name}")
            if _complete(folder):
                found.append(_read(folder))
    return found


def fitted_at(path: str) -> Optional[Fitted]:
    """The fit that wrote a `unique.*` file, or None: it is not of a fit of ours.

    Raises:
      PopSamplerError: a manifest that cannot be read.
    """
    folder = FitFolder(*path.rsplit("/", 2)[:2])
    fits = _read(folder).values() if _complete(folder) else ()
    return next((fit for fit in fits if UNIQUE in fit.files and fit.path(UNIQUE) == path), None)


def abandoned(root: str, subfolder: str, in_use: AbstractSet[FitFolder]) -> List[FitFolder]:
    """Folders of fits that nobody will complete: their writer is gone, or a day has passed.

    Args:
      root: the `out_path`.
      subfolder: the operator's.
      in_use: folders that this process reads or writes.
    """
    folders = []
    for name in storage.names_in(f"{root}/{subfolder}/{_FITS}"):
        folder, writer = FitFolder(root, f"{subfolder}/{_FITS}/{name}"), _WRITER.fullmatch(name)
        if writer and folder not in in_use and not _complete(folder) and _gone(*writer.groups()):
            folders.append(folder)
    return folders


def fits_in(root: str, subfolder: str) -> Tuple[str, int]:
    """Where an operator's fits lie, and how many do."""
    folder = f"{storage.absolute(root)}/{subfolder}/{_FITS}"
    return folder, len(storage.names_in(folder))


def saved(name: str, fitted: AnyFitted, root: str) -> AnyFitted:
    """Copies what a fit found into a saved workflow's folder, and returns it as it is there.

    Equal fits share one folder. Nothing that lies there is removed; what is damaged is replaced.

    Raises:
      PopSamplerError: the files are not those of the fit; nothing is copied then.
    """
    manifest = _manifest({name: fitted})
    place = f"{_SAVED}/{storage.digest_of(manifest)}"
    target = replace(fitted, folder=FitFolder(storage.absolute(root), place))
    contents = {
        file: content
        for kind, files in fitted.files.items()
        for file, content in zip(files, fitted.read(kind))
    }
    for file, content in {**contents, _MANIFEST: manifest}.items():
        path = f"{target.folder.path}/{file}"
        if not storage.exists(path) or storage.read_bytes(path) != content:
            storage.write_bytes(path, content)
    return target


def _manifest(fitted: Mapping[str, Fitted]) -> bytes:
    columns = {
        name: {"files": dict(found.files), "popularity": found.metadata.to_dict()}
        for name, found in fitted.items()
    }
    return json.dumps({"format": _FORMAT, "columns": columns}, indent=1).encode()


def _read(folder: FitFolder) -> Dict[str, Fitted]:
    path = f"{folder.path}/{_MANIFEST}"
    try:
        manifest = json.loads(storage.read_bytes(path))
        if manifest["format"] != _FORMAT:
            raise ValueError(f"format {manifest['format']}")
        return {
            name: Fitted(
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
        "next two must be saved."
    )
    try:
        content = storage.read_bytes(path)
    except PopSamplerError:
        raise PopSamplerError(
            f"Expected the file that was fitted at {path}. Received: no file. {what_to_do}"
        ) from None
    found = storage.digest_of(content)
    if found != digest:
        raise PopSamplerError(
            f"Expected the file that was fitted (digest {digest}) at {path}. Received: one of "
            f"digest {found}. {what_to_do}"
        )
    return content


def _complete(folder: FitFolder) -> bool:
    return storage.exists(f"{folder.path}/{_MANIFEST}")


def _gone(time: str, host: str, process: str) -> bool:
    """Whether a writer of this host has ended, or has had a day."""
    if host == _host():
        if int(process) == os.getpid():
            return True  # it is not among those under way
        try:
            os.kill(int(process), 0)  # asks, and sends nothing
        except ProcessLookupError:
            return True
        except PermissionError:
            pass
    started = datetime.strptime(time, _TIME).replace(tzinfo=timezone.utc)
    return datetime.now(timezone.utc) - started > _ABANDONED


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9.]", "_", platform.node()) or "host"


def _safe(name: str) -> str:
    """A file's name that no file system reads as a path or a pattern, or takes for another's."""
    if _PLAIN.fullmatch(name):
        return name
    plain = re.sub(r"[^a-z0-9_.-]", "_", name.lower())[:40]
    return f"{plain}-{storage.digest_of(name.encode('utf-8', 'surrogatepass'))[:8]}"


def size_column(name: str) -> str:
    """Column of the occurrences beside the keys of a `unique.*` file."""
    return f"{name}_size"
