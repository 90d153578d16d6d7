"""Reads what compare_negatives.py compares on: sequences, held-out positives, and popularity."""

import re
from contextlib import suppress
from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence, Tuple

import numpy as np
from evaluate import Array, leave_last_out
from splits import MOST_HELD_OUT, check_whole, last_to_train, read_sessions

from merlin_popsampler import PopSamplerError, PopularityMetadata, popularity_from, read_popularity

Split = Tuple[List[Array], Array]
"""Queries, a list of int64 id arrays, and their positives, int64 `[queries]`."""


class ComparisonData(NamedTuple):
    """Holds one data set, with ids in frequency order.

    Attributes:
      name: shown in tables.
      train: ids of the sequences that train, oldest first, two or more each.
      valid: queries and positives by which training stops.
      test: queries and positives that are reported. A positive that training never saw is 0.
      popularity: ids and counts of the training.
      ordered: whether the order of a sequence tells what comes next.
    """

    name: str
    train: List[Array]
    valid: Split
    test: Split
    popularity: PopularityMetadata
    ordered: bool


def name_of(path: Path) -> str:
    """Returns the name of a data set: that of its folder, or of its file without the ending."""
    path = path.resolve()
    return path.name if path.is_dir() else path.stem


def in_file_name(name: str) -> str:
    """Replaces all but Latin letters and digits by `-`."""
    return re.sub("[^0-9A-Za-z]+", "-", name)


def check_names(paths: Sequence[Path]) -> None:
    """Checks that results of the data sets can be told apart.

    Raises:
      PopSamplerError: two of them have one name.
    """
    seen: Dict[str, Path] = {}
    for path in paths:
        other = seen.setdefault(in_file_name(name_of(path)), path)
        if other != path:
            raise PopSamplerError(
                "Expected data sets with names that differ in Latin letters or digits, since the "
                f"results are named by them. Received: {other} and {path}. Rename one of them."
            )


def read_data(path: Path) -> ComparisonData:
    """Reads a folder that preprocess.py wrote, or a text file of `read_sequences`.

    Raises:
      PopSamplerError: there is no such file or folder, or it has no sequences that train.
    """
    return _sessions(path) if path.is_dir() else read_sequences(path)


def _sessions(folder: Path) -> ComparisonData:
    from merlin.io import Dataset

    check_whole(folder)
    until = last_to_train(folder / "train")
    train = read_sessions(folder / "train", until=until)
    popularity = read_popularity(Dataset(str(folder / "train" / "*.parquet"), engine="parquet"))
    least = popularity.domain.min_id
    real = [ids[ids >= least] for ids in train]
    real = [ids for ids in real if len(ids) > 1]
    if not real:
        raise PopSamplerError(
            f"Expected sessions of two or more known items in {folder / 'train'}. Received: none. "
            "Run workflows/preprocess.py with a smaller --min-count, or with more rows."
        )
    return ComparisonData(
        name_of(folder),
        real,
        leave_last_out(read_sessions(folder / "train", after=until)),
        leave_last_out(read_sessions(folder / "valid")),
        popularity,
        ordered=False,
    )


def read_sequences(file: Path) -> ComparisonData:
    """Reads lines of a user and the user's items, oldest first: `user item item item`.

    The last item of each user is the positive of the test, and the one before it that of the
    validation. The rest trains. Items get new ids by their number of occurrences in the training,
    from 1. A later item that the training lacks has no id and becomes 0.

    Raises:
      PopSamplerError: the file cannot be read as text, a line holds anything but whole numbers, or
        no user has four items.
    """
    users = [ids for ids in _lines(file) if len(ids) > 3]  # two train, one validates, one tests
    if not users:
        raise PopSamplerError(
            f"Expected users with four or more items in {file}. Received: none. Write one user a "
            "line, first the user and then the items, oldest first, with blanks between them."
        )
    items, codes = np.unique(np.concatenate(users), return_inverse=True)
    ends = np.cumsum([len(ids) for ids in users])
    trains = np.ones(len(codes), bool)
    trains[ends - 1] = trains[ends - 2] = False
    counts = np.bincount(codes[trains], minlength=len(items))
    order = np.argsort(-counts, kind="stable")
    seen = int(np.sum(counts > 0))
    new = np.zeros(len(items), np.int64)
    new[order[:seen]] = np.arange(1, seen + 1)
    sequences = np.split(new[codes], ends[:-1])
    counted = popularity_from(np.concatenate([[0], counts[order[:seen]]]), reserved_ids=[0])
    return ComparisonData(
        name_of(file),
        [ids[:-2] for ids in sequences],
        _some(leave_last_out([_known(ids[:-1]) for ids in sequences])),
        leave_last_out([_known(ids) for ids in sequences]),
        counted[0],
        ordered=True,
    )


def _known(ids: Array) -> Array:
    """Removes items without an id from queries, not from positives."""
    return np.concatenate([ids[:-1][ids[:-1] > 0], ids[-1:]])


def _some(split: Split) -> Split:
    """Returns the same queries at every call, at most as many as the programs hold out."""
    queries, positives = split
    chosen = np.random.default_rng(17).permutation(len(queries))[:MOST_HELD_OUT]
    return [queries[row] for row in chosen], positives[chosen]


def _lines(file: Path) -> List[Array]:
    try:
        lines = file.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeError) as error:
        raise PopSamplerError(
            "Expected --data to be outputs of preprocess.py, or text files in UTF-8. Received: "
            f"{file}, {error}. Correct the path, or save the file as UTF-8."
        ) from None
    return [_items(line, file) for line in lines]


def _items(line: str, file: Path) -> Array:
    with suppress(OverflowError, ValueError):  # 2**63 or more; ValueError in NumPy 2
        if re.fullmatch(r"[0-9 \t]*", line):
            return np.array(line.split()[1:], dtype=np.int64)
    raise PopSamplerError(
        f"Expected lines of whole numbers below 2**63 in {file}. Received: {line[:60]!r}. "
        "Number the users and items, and separate them by blanks."
    )
