"""Where folders of fits lie: the only module that knows, and which of them are given up.

    <out_path>/categories/.fits/<writer>/          of FrequencyCategorify
    <out_path>/frequency_order/.fits/<writer>/     of FrequencyOrder
    <save>/popsampler/<digest of the manifest>/    in a saved workflow

What lies under a writer's name without a manifest is on its way as long as the writer is.
"""

import os
import platform
import re
import uuid
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import chain
from typing import AbstractSet, Dict, List, Optional, Tuple, TypeVar

from merlin_popsampler.errors import PopSamplerError

from . import filesystem
from .artifact import (
    CATEGORIES,
    FREQUENCY_ORDER,
    UNIQUE,
    FitArtifact,
    FitFolder,
    is_complete,
    manifest_of,
    read_manifest,
    remove,
)

_NAME = re.compile(r"([0-9T.]+)-(.+)-([0-9]+)-[0-9a-f]+")
_TIME = "%Y%m%dT%H%M%S.%f"
_ABANDONED = timedelta(days=1)

_FITS = ".fits"
_SAVED = "popsampler"

AnyFitted = TypeVar("AnyFitted", bound=FitArtifact)


def new_folder(root: str, subfolder: str) -> FitFolder:
    """A folder that nobody else writes to; later ones come later in the order of names."""
    return FitFolder(root, f"{subfolder}/{_FITS}/{new_name()}")


def fits_below(root: str) -> List[Dict[str, FitArtifact]]:
    """The complete fits in an `out_path`, one of its folders or a saved workflow, oldest first.

    Raises:
      PopSamplerError: a manifest that cannot be read.
    """
    root = filesystem.absolute(root)
    found = (
        read_manifest(FitFolder(root, f"{subfolder}/{name}"))
        for subfolder in (f"{CATEGORIES}/{_FITS}", f"{FREQUENCY_ORDER}/{_FITS}", _FITS, _SAVED)
        for name in filesystem.names_in(f"{root}/{subfolder}")
    )
    return [fits for fits in found if fits]


def fitted_at(path: str) -> Optional[FitArtifact]:
    """The fit that wrote a `unique.*` file, or None: it is not of a fit of ours.

    Raises:
      PopSamplerError: a manifest that cannot be read.
    """
    fits = read_manifest(FitFolder(*path.rsplit("/", 2)[:2])).values()
    return next((fit for fit in fits if UNIQUE in fit.files and fit.path(UNIQUE) == path), None)


def began_later(one: FitFolder, other: FitFolder) -> bool:
    """Whether a fit began after another; False also where the names of the folders tell no time."""
    times = [time_of(folder.place.split("/")[-1]) for folder in (one, other)]
    return bool(times[0] and times[1] and times[0] > times[1])


def remove_abandoned(root: str, subfolder: str, in_use: AbstractSet[FitFolder]) -> None:
    """Removes the folders that nobody will complete: their writer has ended, or had a day.

    Args:
      root: the `out_path`.
      subfolder: the operator's.
      in_use: folders that this process reads or writes.
    """
    for name in filesystem.names_in(f"{root}/{subfolder}/{_FITS}"):
        folder = FitFolder(root, f"{subfolder}/{_FITS}/{name}")
        with suppress(OSError):  # of another user, perhaps: it may stay
            if folder not in in_use and has_ended(name) and not is_complete(folder):
                remove(folder)


def fits_in(root: str, subfolder: str) -> Tuple[str, int]:
    """Where an operator's fits lie, and how many do."""
    folder = f"{filesystem.absolute(root)}/{subfolder}/{_FITS}"
    return folder, len(filesystem.names_in(folder))


def saved(name: str, fitted: AnyFitted, beside: FitFolder) -> AnyFitted:
    """Copies what a fit found into a saved workflow's folder, and returns it as it is there.

    Equal fits share one folder. What lies there whole stays, what is damaged is replaced.

    Args:
      name: the vocabulary's.
      fitted: what is copied.
      beside: a new folder in the saved workflow's, to write in before anybody sees it.

    Raises:
      PopSamplerError: the files are not those of the fit; nothing is copied then.
    """
    manifest = manifest_of({name: fitted})
    place = f"{_SAVED}/{filesystem.digest_of(manifest[1])}"
    target = replace(fitted, folder=FitFolder(beside.root, place))
    if not _whole(target, *manifest):
        filesystem.put(target.folder.path, chain(fitted.contents(), [manifest]), beside.path)
        target.check_files()  # somebody may have removed some on their way
    return target


def _whole(fitted: FitArtifact, manifest: str, content: bytes) -> bool:
    try:
        fitted.check_files()
        return filesystem.read_bytes(f"{fitted.folder.path}/{manifest}") == content
    except PopSamplerError:
        return False


def new_name() -> str:
    """A name that nobody else writes under; later ones come later in the order of names."""
    time = datetime.now(timezone.utc).strftime(_TIME)
    return f"{time}-{_host()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def time_of(name: str) -> Optional[str]:
    """When the writer began, in the order of time; None where a name tells no writer."""
    match = _NAME.fullmatch(name)
    return match and match.group(1)


def has_ended(name: str) -> bool:
    """Whether the writer of that name will not go on: a process of this host that is no more, this
    very process, or any after a day. Names that tell no writer never end.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return False
    time, host, process = match.groups()
    if host == _host() and not _runs(int(process)):
        return True
    started = datetime.strptime(time, _TIME).replace(tzinfo=timezone.utc)
    return datetime.now(timezone.utc) - started > _ABANDONED


def _runs(process: int) -> bool:
    """Whether another process of that number runs: this one knows what it still writes."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)  # asks, and sends nothing
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _host() -> str:
    """The machine, and where it has several sets of process numbers, as with containers, which."""
    host = platform.node()
    with suppress(OSError):  # only Linux tells
        host += f".{os.stat('/proc/self/ns/pid').st_ino}"
    return re.sub(r"[^A-Za-z0-9.]", "_", host) or "host"
