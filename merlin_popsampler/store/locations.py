"""Finds the folders of fits, and removes abandoned ones.

    <out_path>/categories/.fits/<time>-<number>/         of FrequencyCategorify
    <out_path>/frequency_order/.fits/<time>-<number>/    of FrequencyOrder
    <save>/popsampler/<digest of the manifest>/          in a saved workflow

A folder without a manifest is an unfinished fit; it is kept while it is younger than a day.
"""

import uuid
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import chain
from typing import AbstractSet, Dict, List, Optional, Tuple, TypeVar

from merlin_popsampler.core.digests import digest_of
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

_TIME = "%Y%m%dT%H%M%S.%f"
_ABANDONED = timedelta(days=1)
"""Age after which an unfinished fit counts as abandoned."""

_FITS = ".fits"
_SAVED = "popsampler"

AnyFitted = TypeVar("AnyFitted", bound=FitArtifact)


def new_folder(root: str, subfolder: str) -> FitFolder:
    """Returns a new folder of a unique name, which begins with the time in UTC."""
    name = f"{datetime.now(timezone.utc).strftime(_TIME)}-{uuid.uuid4().hex[:8]}"
    return FitFolder(root, f"{subfolder}/{_FITS}/{name}")


def fits_below(root: str) -> List[Dict[str, FitArtifact]]:
    """Lists the complete fits in an `out_path`, one of its folders or a saved workflow.

    Returns:
      The artifacts of each fit by name of the vocabulary. The fits of an `out_path` come in order,
      the oldest first. Those of a saved workflow have no order.

    Raises:
      PopSamplerError: a manifest cannot be read.
    """
    root = filesystem.absolute(root)
    found = (
        read_manifest(FitFolder(root, f"{subfolder}/{name}"))
        for subfolder in (f"{CATEGORIES}/{_FITS}", f"{FREQUENCY_ORDER}/{_FITS}", _FITS, _SAVED)
        for name in filesystem.names_in(f"{root}/{subfolder}")
    )
    return [fits for fits in found if fits]


def fitted_at(path: str) -> Optional[FitArtifact]:
    """Returns the fit that wrote a `unique.*` file; None if no fit of this package did.

    Raises:
      PopSamplerError: a manifest cannot be read.
    """
    fits = read_manifest(FitFolder(*path.rsplit("/", 2)[:2])).values()
    return next((fit for fit in fits if UNIQUE in fit.files and fit.path(UNIQUE) == path), None)


def began_later(one: FitFolder, other: FitFolder) -> bool:
    """Tests whether fit `one` began after fit `other`; False if a folder's name holds no time."""
    times = [_started(folder.subpath.split("/")[-1]) for folder in (one, other)]
    return bool(times[0] and times[1] and times[0] > times[1])


def remove_abandoned(root: str, subfolder: str, in_use: AbstractSet[FitFolder]) -> None:
    """Removes unfinished fits that began more than a day ago.

    Args:
      root: the `out_path`.
      subfolder: subfolder of the operator, `CATEGORIES` or `FREQUENCY_ORDER`.
      in_use: folders that this process reads or writes, which stay.
    """
    for name in filesystem.names_in(f"{root}/{subfolder}/{_FITS}"):
        folder = FitFolder(root, f"{subfolder}/{_FITS}/{name}")
        with suppress(OSError):  # perhaps it belongs to another user
            if folder not in in_use and _is_old(name) and not is_complete(folder):
                remove(folder)


def _is_old(name: str) -> bool:
    started = _started(name)
    return started is not None and datetime.now(timezone.utc) - started > _ABANDONED


def _started(name: str) -> Optional[datetime]:
    """Returns the time in the name of a fit's folder; None for any other name."""
    with suppress(ValueError):
        return datetime.strptime(name.split("-", maxsplit=1)[0], _TIME).replace(tzinfo=timezone.utc)
    return None


def fits_in(root: str, subfolder: str) -> Tuple[str, int]:
    """Returns the folder that holds the fits of an operator, and how many it holds.

    Args:
      root: the `out_path`.
      subfolder: subfolder of the operator, `CATEGORIES` or `FREQUENCY_ORDER`.
    """
    folder = f"{filesystem.absolute(root)}/{subfolder}/{_FITS}"
    return folder, len(filesystem.names_in(folder))


def saved(name: str, fitted: AnyFitted, staging: FitFolder) -> AnyFitted:
    """Copies an artifact into the folder of a saved workflow, and returns the copy.

    Equal fits share one folder. A complete copy is kept, and a damaged one is replaced.

    Args:
      name: name of the vocabulary.
      fitted: the artifact.
      staging: a new folder in that of the saved workflow, for files before they are renamed.

    Raises:
      PopSamplerError: files of the artifact were changed, moved or removed; nothing is copied.
    """
    manifest = manifest_of({name: fitted})
    name = f"{_SAVED}/{digest_of(manifest[1])}"
    target = replace(fitted, folder=FitFolder(staging.root, name))
    if not _whole(target, *manifest):
        filesystem.put(target.folder.path, chain(fitted.contents(), [manifest]), staging.path)
        target.check_files()  # another process may have removed files
    return target


def _whole(fitted: FitArtifact, manifest: str, content: bytes) -> bool:
    try:
        fitted.check_files()
        return filesystem.read_bytes(f"{fitted.folder.path}/{manifest}") == content
    except PopSamplerError:
        return False
