"""Defines in plain Python which keys are equal, which are different, and which are refused.

Nothing here imports the package. Keys are Python's own values; None is a null.
"""

import datetime
import decimal
from collections import Counter
from typing import Any, Dict, Iterable, List, Optional

EXACT = 2**53
FIRST, LAST = (datetime.datetime.fromisoformat(f"{year}-01-01") for year in (1678, 2262))


class RefusedError(Exception):
    """Signals that the package must raise an error of its own."""


def fitted_ids(keys: Iterable[Any], min_id: int = 3, exact: int = EXACT) -> Dict[Any, int]:
    """Returns the ids of fitted keys, by (count descending, key ascending).

    Args:
      keys: of all partitions.
      min_id: first id of a key.
      exact: from this value on, integers become equal in the float type of the column.
    """
    keys = list(keys)
    known = [key for key in keys if key is not None]
    if not known:
        return {}
    kind = kind_of_all(known, exact)
    if kind == "number":
        _check_stored(known, nulls=len(known) < len(keys))
    if kind == "word" and any("\ud800" <= letter <= "\udfff" for key in known for letter in key):
        raise RefusedError("no file holds half a surrogate pair")
    counts = Counter(known)
    ordered = sorted(counts, key=lambda key: (-counts[key], key))
    return {key: min_id + rank for rank, key in enumerate(ordered)}


def served_ids(
    ids: Dict[Any, int], requests: Iterable[Any], exact: int = EXACT
) -> List[Optional[int]]:
    """Returns the ids of a frame: 1 for a null, 2 for an unknown key (with one bucket)."""
    requests = list(requests)
    known = [key for key in requests if key is not None]
    if known and ids and kind_of_all(known, exact) != kind_of(next(iter(ids))):
        raise RefusedError("another kind")
    if known:
        kind_of_all(known, exact)
    return [1 if key is None else ids.get(key, 2) for key in requests]


def kind_of_all(keys: List[Any], exact: int = EXACT) -> str:
    kinds = {kind_of(key) for key in keys}
    if len(kinds) > 1:
        raise RefusedError("several kinds")
    if any(isinstance(key, float) and not abs(key) < exact for key in keys):
        raise RefusedError("floats that stand for several numbers")
    return kinds.pop()


def kind_of(key: Any) -> str:
    """Returns the type of a key; keys of two types are never equal, although True == 1."""
    if isinstance(key, bool):
        return "bool"
    if isinstance(key, (int, float)):
        return "number"
    if isinstance(key, datetime.datetime):
        if not FIRST < key.replace(tzinfo=None) < LAST:
            raise RefusedError("pandas has no such time")
        return "datetime" if key.tzinfo is None else "zoned"
    for kind, of_type in (
        ("word", str),
        ("bytes", bytes),
        ("decimal", decimal.Decimal),
        ("date", datetime.date),
        ("timedelta", datetime.timedelta),
    ):
        if isinstance(key, of_type):
            return kind
    raise RefusedError(f"{type(key)} is no key")


def _check_stored(keys: List[Any], nulls: bool) -> None:
    """Checks that one dtype holds all numbers, in any partitioning of the files."""
    whole = all(key == int(key) for key in keys)
    if not whole or nulls:
        if max(abs(key) for key in keys) >= EXACT:
            raise RefusedError("floats do not hold these integers")
    elif (
        not (min(keys) >= -(2**63) and max(keys) < 2**63)
        and not 0 <= min(keys) <= max(keys) < 2**64
    ):
        raise RefusedError("no integer dtype holds these")
