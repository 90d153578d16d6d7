"""What both operators do with the files of a fit: stage, check, publish, move, forget."""

import warnings
from dataclasses import replace
from typing import Any, ClassVar, Dict, Iterable, List, Optional, Tuple

from merlin_popsampler.errors import PopSamplerError

from . import fit_folder, storage
from .file_owners import claim, in_several_workflows, other_owner

LARGE_DISTANCE = 0.2
"""Total variation from which on a log-uniform law is called a poor fit."""


class FittedFiles:
    """Mixin of an NVTabular StatOperator that keeps files under `out_path`.

    A fit writes into a staging folder. `fit_finalize` moves the files into place when all of them
    are known to be right and nobody else relies on those they replace; a fit that fails, or is
    killed, leaves the files of an earlier one as they were.

    Attributes:
      fits: by name, what the last fit found. Each has the `path` of its first file, a `digest` of
        all that `transform` relies on, `metadata`, and `check_files()`.
    """

    subfolder: ClassVar[str]
    kinds: ClassVar[Tuple[str, ...]]
    out_path: Any
    fits: Dict[str, Any]

    def _init_files(self) -> None:
        self.fits = {}
        self._earlier: Dict[str, Any] = {}
        self._pending: List[str] = []
        self._staging: Optional[str] = None

    @property
    def _folder(self) -> str:
        return fit_folder.folder_of(str(self.out_path), self.subfolder)

    def _begin(self, names: List[str]) -> str:
        """The staging folder for a fit of vocabularies of these names.

        Raises:
          PopSamplerError: two of them have one name, and would share one file.
        """
        twice = sorted({name for name in names if (names + self._pending).count(name) > 1})
        if twice:
            raise PopSamplerError(
                f"Expected one vocabulary of each name. Received: several named {twice} in one "
                "operator. Use one operator per branch with an out_path of its own, or rename the "
                "columns."
            )
        self._pending += names
        self._staging = self._staging or fit_folder.new_staging(self._folder)
        return self._staging

    def fit_finalize(self, stats: Dict[str, Any]) -> None:
        """Puts the staged files in place, once it is certain that they may be."""
        staging = self._staging
        try:
            for name, found in stats.items():
                self._check(name, found)
                self._check_owner(name, found)
            if staging:
                storage.publish(self._file_names(stats), staging, self._folder)
        except BaseException:
            self.fits = {**self._earlier, **self.fits}
            self._files_changed()
            raise
        finally:
            self._pending = [name for name in self._pending if name not in stats]
            if staging and not self._pending:
                storage.remove(staging)
                self._staging = None
        self.fits.update({name: self._placed(found) for name, found in stats.items()})
        self._files_changed()
        self._warn_of_poor_fit(stats)

    def clear(self) -> None:
        """Forgets the last fit; its files stay until a new fit replaces them."""
        self._earlier = self.fits or self._earlier
        self.fits = {}
        self._pending, self._staging = [], None

    def set_storage_path(self, new_path: Any, copy: bool = False) -> None:
        """Points to `new_path`, and copies all files of the fit there if so wanted."""
        source, target = self._folder, fit_folder.folder_of(str(new_path), self.subfolder)
        if copy and storage.absolute(source) != storage.absolute(target):
            for found in self.fits.values():
                found.check_files()
            storage.copy(self._file_names(self.fits), source, target)
        self.out_path = str(new_path)
        self.fits = {name: self._placed(found) for name, found in self.fits.items()}
        self._files_changed()

    def __getstate__(self) -> Dict[str, Any]:
        return {**self.__dict__, "_earlier": {}, "_pending": [], "_staging": None}

    def _check(self, name: str, found: Any) -> None:
        """Raises where what a fit found must not replace the files of an earlier one."""

    def _files_changed(self) -> None:
        """Notes which files are relied on from now on."""
        for found in self.fits.values():
            claim(storage.absolute(found.path), self)

    def _placed(self, found: Any) -> Any:
        return replace(found, path=fit_folder.moved(found.path, self._folder))

    def _file_names(self, found: Iterable[str]) -> List[str]:
        return fit_folder.file_names(sorted(found), self.kinds)

    def _check_owner(self, name: str, found: Any) -> None:
        """Refuses to write over files that another operator or workflow relies on."""
        path = self._placed(found).path

        def replaced(other: Any) -> bool:
            """Whether what somebody fitted lies at our path, and is something else."""
            return (
                other is not None
                and storage.absolute(other.path) == storage.absolute(path)
                and other.digest != found.digest
            )

        owner = other_owner(storage.absolute(path), self)
        if (owner is not None and replaced(owner.fits.get(name))) or (
            replaced(self._earlier.get(name)) and in_several_workflows(self)
        ):
            raise PopSamplerError(
                f"Column {name!r}: expected {path} to be free, or of the same keys. Received: "
                "the file of another branch or workflow that is still in use. Give each "
                "operator an out_path of its own, and each workflow an operator of its own."
            )

    def _warn_of_poor_fit(self, stats: Dict[str, Any]) -> None:
        fits = {name: found.metadata.fit for name, found in stats.items() if found.metadata.fit}
        poor = {
            name: round(fit["log_uniform"]["tv"], 3)
            for name, fit in sorted(fits.items())
            if fit["log_uniform"]["tv"] > LARGE_DISTANCE
        }
        if poor:
            warnings.warn(
                "A log-uniform law is far from the counts (total variation by column: "
                f"{poor}). For a sampler over such ids the measured popularity is the better law: "
                "law='empirical', which law='auto' takes.",
                stacklevel=2,
            )
