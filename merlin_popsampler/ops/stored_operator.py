"""Manages an operator's fit artifacts: create, validate, commit, copy on save, roll back."""

import os
import warnings
import weakref
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar, Dict, Iterator, List, Set

from merlin_popsampler.core.checks import truncate_repr
from merlin_popsampler.errors import PopSamplerError
from merlin_popsampler.store import artifact, filesystem, locations
from merlin_popsampler.store.artifact import FitFolder

_KEPT = 2
"""Number of last fits that an operator keeps, since a pickle may use them."""
_MANY = 10
"""Number of fits in one folder above which a fit warns."""


class StoredOperator:
    """Manages the fit artifacts of an NVTabular StatOperator, as a mixin.

    Each fit writes its own folder under `out_path`, which never changes once it is complete. So a
    failed fit, another operator or another process cannot damage it. The operator uses its last
    fit. Copies, pickles and saved workflows that were made before keep the earlier fit. An operator
    removes its own older fits, except its last two and those that an operator of this process uses.

    Attributes:
      fits: artifacts in use, by name of the vocabulary. During a fit, and after a failed one, these
        are those of the earlier fit.
    """

    subfolder: ClassVar[str]
    out_path: Any
    fits: Dict[str, Any]

    def _init_files(self) -> None:
        path = self.out_path
        # Paths of some remote file systems are not os.PathLike, but have the methods of pathlib.
        if not (isinstance(path, (str, os.PathLike)) or hasattr(path, "joinpath")):
            raise PopSamplerError(
                f"Expected out_path to be a folder, as a string or path. Received: "
                f"{truncate_repr(path)}. Leave it out for the working directory."
            )
        self.fits = {}
        self._stale: Set[str] = set()
        self._init_own()

    def _init_own(self) -> None:
        """Creates the state that belongs to this object, and not to its copies."""
        self._before: Dict[str, Any] = {}
        self._under_way: Dict[FitFolder, List[str]] = {}
        self._written: List[FitFolder] = []
        weakref.finalize(self, _give_up, self._under_way, os.getpid())
        _LIVE.add(self)

    def __getstate__(self) -> Dict[str, Any]:
        own = ("_before", "_under_way", "_written")
        return {name: value for name, value in self.__dict__.items() if name not in own}

    def __setstate__(self, state: Dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._init_own()

    def _begin(self, names: List[str]) -> FitFolder:
        """Creates the folder for a fit of vocabularies of these names.

        Raises:
          PopSamplerError: two vocabularies have the same name, or the folder cannot be created.
        """
        known = [name for others in self._under_way.values() for name in others] + names
        twice = sorted({name for name in names if known.count(name) > 1})
        if twice:
            raise PopSamplerError(
                f"Expected one vocabulary of each name. Received: several named {twice} in one "
                "operator. Use one operator per branch, or rename the columns."
            )
        folder = self._new_folder(filesystem.absolute(str(self.out_path)), names)
        filesystem.make_folder(folder.path)  # so that an error comes before the counting
        return folder

    def _new_folder(self, root: str, names: List[str]) -> FitFolder:
        """Creates a folder below a root, which is removed unless it is completed."""
        locations.remove_abandoned(root, self.subfolder, _in_use())
        folder = locations.new_folder(root, self.subfolder)
        self._under_way[folder] = names
        return folder

    def fit_finalize(self, stats: Dict[str, Any]) -> None:
        """Checks the results of a fit, completes its folder, and uses it from then on.

        Args:
          stats: artifacts by name of the vocabulary, the result of `fit`.

        Raises:
          PopSamplerError: a result is not valid; the previous fit stays in use.
        """
        try:
            for name, found in stats.items():
                self._check(name, found)
            artifact.complete(stats)
            self._copy(stats)
            self._warn_of_many()
        except BaseException:
            self._withdraw()
            raise
        folders = {found.folder for found in stats.values()}
        for folder in folders:
            self._under_way.pop(folder, None)
        self._written += folders
        self._use({**self.fits, **stats})
        self._stale -= set(stats)
        self._remove_older()

    def clear(self) -> None:
        """Starts a new fit; the previous fit stays in use until the new one is complete."""
        _give_up(self._under_way, os.getpid())
        self._before = self.fits
        self._stale = set(self.fits)

    def set_storage_path(self, new_path: Any, copy: bool = False) -> None:
        """Reads the fit from another folder, to which `Workflow.save` copies it.

        Args:
          new_path: folder of a saved workflow.
          copy: whether to copy the files to that folder. If False, they are there already (as after
            `Workflow.load`), and later fits are written there too.

        Raises:
          PopSamplerError: files of the fit were changed, moved or removed; nothing is copied then.
        """
        if copy:
            for found in self.fits.values():
                found.check_files()
            root = filesystem.absolute(str(new_path))
            with self._beside(root) as folder:
                fits = {
                    name: locations.saved(name, found, folder) for name, found in self.fits.items()
                }
            self._copy(fits)
        else:
            self.out_path = str(new_path)
            root = filesystem.absolute(self.out_path)
            fits = {
                name: replace(found, folder=replace(found.folder, root=root))
                for name, found in self.fits.items()
            }
        self._use(fits)

    def folders_in_use(self) -> Set[FitFolder]:
        """Returns the folders that this operator uses, or would use if its current fit failed."""
        fitted = (*self.fits.values(), *self._before.values())
        return {found.folder for found in fitted} | set(self._under_way)

    @property
    def _fresh(self) -> Dict[str, Any]:
        """Artifacts that were fitted since `clear`, by name of the vocabulary."""
        return {name: found for name, found in self.fits.items() if name not in self._stale}

    def _check(self, name: str, found: Any) -> None:
        """Raises an error if the artifact of a vocabulary must not be used."""

    def _copy(self, fits: Dict[str, Any]) -> None:
        """Copies files for programs that read Categorify's files."""

    def _use(self, fits: Dict[str, Any]) -> None:
        self.fits = fits

    @contextmanager
    def _beside(self, root: str) -> Iterator[FitFolder]:
        """Yields a temporary folder below a root, from which complete files are moved elsewhere."""
        folder = self._new_folder(root, [])
        try:
            yield folder
        finally:
            self._under_way.pop(folder, None)
            artifact.remove(folder)

    def _withdraw(self) -> None:
        """Removes the artifacts that were fitted since `clear`, and restores the previous fit."""
        fresh = {found.folder for found in self._fresh.values()}.intersection(self._written)
        self._use(self._before)
        self._stale = set(self.fits)
        for folder in fresh:
            artifact.remove(folder)
        self._written = [folder for folder in self._written if folder not in fresh]
        _give_up(self._under_way, os.getpid())

    def _remove_older(self) -> None:
        older = set(self._written[:-_KEPT]) - _in_use()
        for folder in older:
            artifact.remove(folder)
        self._written = [folder for folder in self._written if folder not in older]

    def _warn_of_many(self) -> None:
        folder, number = locations.fits_in(str(self.out_path), self.subfolder)
        if number > _MANY:
            warnings.warn(
                f"{number} fits lie in {folder}. Remove those that no running process and no "
                "pickle uses: saved workflows have copies of their own.",
                stacklevel=3,
            )


def _give_up(under_way: Dict[FitFolder, List[str]], process: int) -> None:
    """Removes the folders of unfinished fits, except in a forked process."""
    while under_way and os.getpid() == process:
        folder, _ = under_way.popitem()
        artifact.remove(folder)


_LIVE: "weakref.WeakSet[StoredOperator]" = weakref.WeakSet()
"""The operators of this process."""


def _in_use() -> Set[FitFolder]:
    """Returns the folders that operators of this process need."""
    return {folder for operator in list(_LIVE) for folder in operator.folders_in_use()}
