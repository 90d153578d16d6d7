"""Declares an adaptation: the packages and versions that need it, and the change."""

import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Callable, List, Optional, Tuple

Version = Tuple[int, ...]


@dataclass(frozen=True)
class Adaptation:
    """Describes a change that a package of Merlin needs to run with a newer version of another.

    Args:
      user: the package of Merlin that fails, such as "merlin-core".
      used: the package that it fails with, such as "dask".
      since: the first version of `used` that it fails with.
      before: the first version that does not need this change; None if there is none.
      apply: makes the change. Its docstring gives the reason.

    Examples:
      >>> Adaptation("merlin-core", "dask", since=(9999,), before=None, apply=print).is_needed()
      False
    """

    user: str
    used: str
    since: Version
    before: Optional[Version]
    apply: Callable[[], None]

    @property
    def name(self) -> str:
        """Name of the function that makes the change."""
        return self.apply.__name__

    def is_needed(self) -> bool:
        """Tests whether both packages are installed, in versions that fail together."""
        found = installed(self.used)
        if found is None or installed(self.user) is None:
            return False
        return found >= self.since and (self.before is None or found < self.before)


def adapts(
    user: str,
    used: str,
    since: Version,
    before: Optional[Version] = None,
    *,
    to: List[Adaptation],
) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Adds the decorated function to a list of adaptations; see `Adaptation` for the arguments."""

    def add(apply: Callable[[], None]) -> Callable[[], None]:
        to.append(Adaptation(user, used, since, before, apply))
        return apply

    return add


def installed(distribution: str) -> Optional[Version]:
    """Returns an installed version, (2024, 12, 1) for "2024.12.1"; None if it is absent."""
    try:
        found = re.match(r"\d+(\.\d+)*", version(distribution))
    except PackageNotFoundError:
        return None
    return tuple(map(int, found[0].split("."))) if found else ()
