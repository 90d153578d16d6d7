"""What a schema says of the encoder that made a column's ids, and what its counts prove."""

from dataclasses import dataclass
from typing import Optional

import numpy as np
from merlin.schema import ColumnSchema

from merlin_popsampler.contract.metadata import PROPERTY
from merlin_popsampler.contract.schema import reserved_ids
from merlin_popsampler.core.domain import NULL_ID, PADDING_ID
from merlin_popsampler.core.segments import Ints
from merlin_popsampler.errors import FrequencyOrderError

from . import fit_places, popularity_file, storage
from .categorify_files import meta_beside
from .id_order import LARGEST_ID
from .vocabulary import read_sizes

JOINT = "joint_vocabulary"
"""Property of a column whose vocabulary others share: its own name and all names, in the encoder.

It tells which of them a column is, whatever operators rename or derive from it.
"""
UNLIMITED = 2**40
"""More often than any id occurs; as many columns as a frame has do not make it overflow."""


@dataclass(frozen=True)
class Encoder:
    """What is known of a column's encoder before it is fitted.

    Args:
      vocabulary: name of its vocabulary, which jointly encoded columns share; the column's own
        where no encoder left properties.
      reserved: ids from 0 on that stand for no key; 0 where no encoder left properties.
      fitted_here: whether the workflow that is being fitted fits it, so that it counts the rows
        that the node after it sees.
    """

    vocabulary: str
    reserved: int
    fitted_here: bool


def encoder_of(column: ColumnSchema) -> Encoder:
    """The encoder of an input column, from the schema before the fit."""
    reserved = reserved_ids(column)
    name = (column.properties.get("domain") or {}).get("name") if reserved else None
    cat_path = column.properties.get("cat_path")
    return Encoder(name or column.name, reserved, bool(reserved) and cat_path is None)


def most_times(column: ColumnSchema, encoder: Encoder, columns: int) -> Optional[Ints]:
    """How often each id may pass a node after the encoder, from the schema after the fit.

    Args:
      column: one of the columns that are counted together there.
      encoder: its encoder.
      columns: how many these are: each may be a copy of one encoded column.

    Returns:
      int64 `[max_id + 1]`, for the ids from 0 on; None where nothing is known. Padding is
      unlimited in lists, which operators may pad.
    """
    most: Optional[Ints] = None
    fields = column.properties.get(PROPERTY) or {}
    if encoder.fitted_here:
        most = _counts(column, encoder)
    elif fields.get("evidence") == "vocabulary":  # of other rows: the range is all it tells
        most = np.full(int(fields["max_id"]) + 1, UNLIMITED)
    if most is not None and column.is_list:
        most = np.array(most)  # pandas 3 hands out arrays that refuse to be written to
        most[PADDING_ID] = UNLIMITED
    return None if most is None else most * columns


def last_id(column: ColumnSchema, encoder: Encoder, most: Optional[Ints], seen: int) -> int:
    """The last id that the encoder gives, or any id where no encoder is known.

    Args:
      column: its schema after the fit.
      encoder: its encoder.
      most: how often each id may pass, see `most_times`.
      seen: last id that passed in the fit.
    """
    if most is not None:
        return len(most) - 1
    largest = (column.properties.get("domain") or {}).get("max")
    return LARGEST_ID if not encoder.reserved or largest is None else max(int(largest), seen)


def check_unchanged(column: str, passed: Ints, most: Ints) -> None:
    """Refuses ids that the encoder cannot have given.

    Args:
      column: its name, for the message.
      passed: how often each id from 0 on passed, int64 `[n]`.
      most: how often it may, int64 `[m]`; ids from m on never.

    Raises:
      FrequencyOrderError: an id passed more often.
    """
    over = np.flatnonzero(passed[: len(most)] > most[: len(passed)])
    if len(passed) > len(most):
        proof = f"id {len(passed) - 1}, where the encoder's last is {len(most) - 1}"
    elif len(over):
        proof = f"id {over[0]} {passed[over[0]]} times, of at most {most[over[0]]}"
    else:
        return
    raise FrequencyOrderError(
        f"Column {column!r}: expected ids as often as their encoder gave them, or less often. "
        f"Received: {proof}. After the encoder, ids were changed, rows were repeated, or a "
        "partition was left without rows, for which Merlin hands on the raw column. Change keys "
        "and repeat rows before the encoder, and filter the data before the workflow."
    )


def _counts(column: ColumnSchema, encoder: Encoder) -> Optional[Ints]:
    """What the encoder counted, from the files beside its vocabulary."""
    path = column.properties.get("cat_path")
    if path is None or not storage.exists(path):
        return None
    found = fit_places.fitted_at(path)
    if found is not None:  # FrequencyCategorify's
        return popularity_file.read_counts(found)
    try:
        sizes = read_sizes(path, encoder.vocabulary, encoder.reserved)
    except FrequencyOrderError:  # a vocabulary that was given brings no counts
        return None
    return np.concatenate((_stock_reserved(column, encoder), sizes))


def _stock_reserved(column: ColumnSchema, encoder: Encoder) -> Ints:
    """Bounds for Categorify's own reserved ids; it miscounts the unknown keys of some fits."""
    cut = column.properties.get("max_size") or column.properties.get("freq_threshold")
    most = np.full(encoder.reserved, UNLIMITED)
    most[PADDING_ID] = 0
    if not cut:  # all keys are known, but nulls in lists become unknown keys
        path = meta_beside(column.properties["cat_path"])
        meta = storage.read_table(path).set_index("kind")
        most[NULL_ID:] = int(meta.loc["null", "num_observed"])
    return most
