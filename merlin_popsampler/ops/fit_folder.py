"""The names inside a fit's folder: no other module spells one.

    <out_path>/categories/          of FrequencyCategorify: unique.*, meta.*, popularity.*
    <out_path>/frequency_order/     of FrequencyOrder: popularity.*, map.*
        .staging-<unique>/          a fit on its way, gone when it is published or has failed
        unique.<name>.parquet       keys in the order of their ids, or a folder of part.<n>.parquet
        meta.<name>.parquet         where padding, null, unknown keys and keys begin
        popularity.<name>.parquet   counts of all ids from 0 on
        map.<name>.parquet          old ids and new ones, where ids were put in order

`unique.*` and `meta.*` are Categorify's own names and forms. `<name>` is the column's, or that of
the group of columns that shares the vocabulary.
"""

import re
import uuid
from typing import Iterable, List, Sequence, Tuple

UNIQUE, META, POPULARITY, MAP = "unique", "meta", "popularity", "map"
VOCABULARY_KINDS = (UNIQUE, META, POPULARITY)
"""Kinds of files that a fit of FrequencyCategorify leaves for each vocabulary."""
ORDER_KINDS = (POPULARITY, MAP)
"""Kinds of files that a fit of FrequencyOrder leaves for each column or group."""

CATEGORIES, FREQUENCY_ORDER = "categories", "frequency_order"
"""Folders of the two operators, under their `out_path` or in a saved workflow."""

_SUFFIX = ".parquet"


def folder_of(out_path: str, subfolder: str) -> str:
    """An operator's folder under its `out_path`."""
    return f"{out_path.rstrip('/') or '/'}/{subfolder}"


def new_staging(folder: str) -> str:
    """A name for a folder that nobody else stages a fit in."""
    return f"{folder}/.staging-{uuid.uuid4().hex}"


def file_of(folder: str, kind: str, name: str) -> str:
    """Path of one file of a vocabulary."""
    return f"{folder}/{_file_name(kind, name)}"


def file_names(names: Sequence[str], kinds: Sequence[str]) -> List[str]:
    """Names of all files that a fit of these vocabularies may leave."""
    return [_file_name(kind, name) for name in names for kind in kinds]


def beside(path: str, kind: str) -> str:
    """Path of the file of another kind of the same vocabulary."""
    folder, name = path.rsplit("/", 1)
    return f"{folder}/{kind}.{name.split('.', 1)[1]}"


def moved(path: str, folder: str) -> str:
    """Path of the same file in another folder."""
    return f"{folder}/{path.rsplit('/', 1)[-1]}"


def names_in(file_names_: Iterable[str], kind: str) -> List[str]:
    """Names of the vocabularies that have a file of this kind, sorted."""
    start, end = f"{kind}.", _SUFFIX
    return sorted(
        file[len(start) : -len(end)]
        for file in file_names_
        if file.startswith(start) and file.endswith(end)
    )


def size_column(name: str) -> str:
    """Column of the occurrences beside the keys of a `unique.*` file."""
    return f"{name}_size"


def part_of(path: str, number: int) -> str:
    """Path of one part of a file that is cut into a folder of parts."""
    return f"{path}/part.{number}{_SUFFIX}"


def parts_in(file_names_: Iterable[str]) -> List[str]:
    """Names of the parts in a folder, in the order of their numbers, whoever wrote them."""
    return sorted((name for name in file_names_ if name.endswith(_SUFFIX)), key=_number)


def _file_name(kind: str, name: str) -> str:
    return f"{kind}.{name}{_SUFFIX}"


def _number(name: str) -> Tuple[int, str]:
    digits = re.findall(r"[0-9]+", name)
    return (int(digits[-1]) if digits else -1, name)
