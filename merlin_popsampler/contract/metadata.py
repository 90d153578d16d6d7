"""Represents the popularity of one id column as a Merlin schema stores it."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Dict, Iterator, Mapping, Optional, Tuple

import numpy as np

from merlin_popsampler.core.checks import is_number, truncate_repr
from merlin_popsampler.core.distributions import (
    Distribution,
    Empirical,
    LogUniform,
    distance_of_steps,
)
from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.core.popularity_curve import PopularityCurve
from merlin_popsampler.core.segments import Ints
from merlin_popsampler.errors import PopSamplerError, SchemaError

PROPERTY = "popularity"
"""Key of the contract in the properties of a column schema."""

VERSION = 2
"""Version of the property for ids in frequency order, and for ids whose ranks are not known."""
RANKS_VERSION = 3
"""Version of the property for ids whose ranks are in a file."""
EVIDENCE = ("vocabulary", "counted", "assumed")
WRITTEN_EVIDENCE = EVIDENCE[:2]
LARGEST_TOTAL = 2**53
"""Largest sum of all counts that a schema stores exactly: its files store integers as float64."""

_ENDS = re.compile(r"[0-9]{1,16}")

DECIMALS = 6
"""Decimals of the distances in `fit`; further decimals differ between processors."""
_OFF_TIES = 0.2071e-6
"""Offset before rounding, which moves ties away from short fractions such as 0.0000005.

A total variation is often such a fraction: a whole number over twice the sum of all counts."""


@dataclass(frozen=True)
class PopularityMetadata:
    """Holds range, order and popularity curve of the ids of one column.

    A Merlin schema stores it as the property `popularity` of the column. `read_popularity` reads
    it, and `popularity_from` measures it from counts.

    Args:
      min_id: first id that stands for an item, inclusive.
      max_id: last id that stands for an item, inclusive; `min_id - 1` if there are no items.
      frequency_ordered: whether the counts never rise from `min_id` to `max_id`.
      evidence: source of the counts: "vocabulary" (the encoder counted its keys), "counted" (the
        encoded ids were counted) or "assumed" (there are no counts; such metadata is never written
        into a schema).
      steps: the popularity curve as text, see `PopularityCurve.to_text`. It begins with `min_id`,
        or with rank 0 if ranks are in a file. None if ranks are not known, or are assumed.
      digest: digest of the counts file; the command line compares it to reject a file of another
        fit. None if there is no counts file.
      fit: distances of distributions from the counts, `{"log_uniform": {"tv": ..., "kl": ...},
        "steps": {...}}`: total variation, and KL divergence from the data to the distribution in
        nats, both to six decimals. None if there are no steps.
      ranks_digest: digest of the file that lists ids by rank, if the ids of a refit kept their
        numbers (`FrequencyCategorify(base=...)`); None otherwise. Items that the file does not list
        no longer occur, and are never drawn.
      ranks_path: path of that file; None without a file, or in the manifest of a fit, next to which
        the file lies.

    Raises:
      SchemaError: a field has the wrong type, or fields contradict each other: the range is not
        valid, steps rise or do not fill the range, a measured order has no steps, or steps have no
        measured order.

    Examples:
      >>> metadata = PopularityMetadata.from_counts(np.array([9, 5, 5]), 3, "counted", 256)
      >>> metadata.min_id, metadata.max_id, metadata.steps
      (3, 5, '3:9,4:10,6')
    """

    min_id: int
    max_id: int
    frequency_ordered: bool
    evidence: str
    steps: Optional[str] = None
    digest: Optional[str] = None
    fit: Optional[Dict[str, Dict[str, float]]] = None
    ranks_digest: Optional[str] = None
    ranks_path: Optional[str] = None

    def __post_init__(self) -> None:
        for name, expected, fine in self._kinds():
            if not fine:
                raise SchemaError(_unexpected(name, expected, getattr(self, name)))
        try:
            domain = self.domain
        except PopSamplerError as error:
            raise SchemaError(str(error)) from error
        object.__setattr__(self, "min_id", domain.min_id)
        object.__setattr__(self, "max_id", domain.max_id)
        if self.steps is not None and self.curve.total > LARGEST_TOTAL:
            raise SchemaError(
                f"Expected counts that sum to {LARGEST_TOTAL} at most, since schema files store "
                f"integers as floats. Received: {self.curve.total}. "
                "Divide all of them by the same number."
            )

    def _kinds(self) -> Iterator[Tuple[str, str, bool]]:
        """Yields the name of each field but the ids, its expected form, and whether it is valid."""
        evidence: Any = self.evidence
        fit = self.fit
        known = isinstance(evidence, str) and evidence in EVIDENCE
        filed = self.ranks_digest is not None
        ranked = self.frequency_ordered is True or filed
        curved = ranked and known and evidence in WRITTEN_EVIDENCE
        yield "frequency_ordered", "a bool", isinstance(self.frequency_ordered, bool)
        fine = not filed or (isinstance(self.ranks_digest, str) and self.frequency_ordered is False)
        yield "ranks_digest", "a string where ids are not in frequency order, or absent", fine
        fine = self.ranks_path is None or (filed and isinstance(self.ranks_path, str))
        yield "ranks_path", "a string next to ranks_digest, or absent", fine
        yield "evidence", f"one of {EVIDENCE}", known
        if curved:
            yield "steps", "a string", isinstance(self.steps, str)
        else:
            yield "steps", "absent where there is no measured order", self.steps is None
        yield "digest", "a string, or absent", isinstance(self.digest, (str, type(None)))
        fine = fit is None or (curved and _is_fit(fit))
        yield "fit", "distances by distribution where an order was measured, or absent", fine

    @cached_property
    def domain(self) -> IdDomain:
        """The ids that stand for an item."""
        return IdDomain(self.min_id, self.max_id)

    @property
    def is_ranked(self) -> bool:
        """Whether the rank of each id is known: by frequency order, or from a file."""
        return self.frequency_ordered or self.ranks_digest is not None

    @property
    def rank_domain(self) -> IdDomain:
        """The range of the numbers in `steps`: ids, or ranks from 0 on if ranks are in a file."""
        if self.ranks_digest is None:
            return self.domain
        end = str(self.steps).rpartition(",")[2]
        ranked = int(end) if _ENDS.fullmatch(end) else 0
        return IdDomain(0, min(ranked, self.domain.size) - 1)

    @cached_property
    def curve(self) -> PopularityCurve:
        """The popularity curve that `steps` describes.

        Raises:
          SchemaError: there are no steps, or they do not fit the range.
        """
        return PopularityCurve.parse(self.steps, self.rank_domain)

    @classmethod
    def from_counts(
        cls, counts: Ints, min_id: int, evidence: str, max_steps: int
    ) -> "PopularityMetadata":
        """Builds the metadata of measured counts.

        Args:
          counts: int64 `[n]`, occurrences of the ids `min_id` to `min_id + n - 1`. An id that never
            occurred counts as if it occurred once, in the order and in the steps.
          min_id: id of the first count.
          evidence: "vocabulary" or "counted", see the class.
          max_steps: largest number of steps of the curve, `>= 1`.

        Returns:
          Metadata with `frequency_ordered=False` and without steps if the counts rise.

        Raises:
          PopSamplerError: `counts` is not a list of integers `>= 0`.
        """
        given = np.asarray(counts)
        integers = given.dtype.kind in "iu" or not given.size
        if given.ndim != 1 or not integers or (given < 0).any():
            raise PopSamplerError(
                "Expected counts of ids, a flat list of whole numbers >= 0. Received: "
                f"{given.dtype} of shape {given.shape}, "
                f"{truncate_repr(given.ravel()[:5].tolist())}. Pass one for each id."
            )
        known = np.maximum(given.astype(np.int64, copy=False), 1)
        if (known[1:] > known[:-1]).any():
            return cls(min_id, min_id + len(known) - 1, False, evidence)
        exact = PopularityCurve.from_counts(known, max(1, len(known)))
        return cls.from_steps(exact, min_id, evidence, max_steps)

    @classmethod
    def from_steps(
        cls, exact: PopularityCurve, min_id: int, evidence: str, max_steps: int
    ) -> "PopularityMetadata":
        """Builds the metadata of counts that never rise.

        Args:
          exact: the popularity curve in which each step has one count, without averages.
          min_id: id of rank 0.
          evidence: see `from_counts`.
          max_steps: see `from_counts`.
        """
        domain = IdDomain(min_id, min_id + exact.size - 1)
        text, fit = _measured(exact, domain, max_steps)
        return cls(domain.min_id, domain.max_id, True, evidence, text, None, fit)

    @classmethod
    def from_ranks(
        cls, exact: PopularityCurve, domain: IdDomain, max_steps: int, ranks_digest: str
    ) -> "PopularityMetadata":
        """Builds the metadata of encoded ids whose ranks are in a file.

        Args:
          exact: the popularity curve in which each step has one count, without averages.
          domain: the ids of all items. The file lists those that still occur.
          max_steps: largest number of steps of the curve, `>= 1`.
          ranks_digest: digest of the file.
        """
        text, fit = _measured(exact, IdDomain(0, exact.size - 1), max_steps)
        return cls(domain.min_id, domain.max_id, False, "vocabulary", text, None, fit, ranks_digest)

    def distribution(self) -> Distribution:
        """Returns the best distribution for these ids: the measured one, or else log-uniform.

        Raises:
          SchemaError: the ranks of the ids are not known, or there are no items.
        """
        if not self.is_ranked:
            raise SchemaError(
                "Expected ids sorted by decreasing frequency. Received: a schema that says they "
                "are not. Use FrequencyCategorify, or FrequencyOrder(on_violation='remap')."
            )
        size = self.rank_domain.size
        if not size:
            raise SchemaError(
                "Expected at least one item. "
                f"Received: none that occurs in the range {self.min_id}..{self.max_id}. "
                "Fit the workflow on data that holds items."
            )
        if self.steps is None:
            return LogUniform(size)
        return Empirical(self.curve)

    def to_dict(self) -> Dict[str, Any]:
        """Converts the metadata to a dict of plain values, which Merlin's schema files can carry.

        Some values are redundant, so that reading detects changes. The steps begin and end with the
        ids of the range, and their sum is `total`.

        Raises:
          PopSamplerError: the evidence is "assumed".
        """
        if self.evidence not in WRITTEN_EVIDENCE:
            raise PopSamplerError(
                f"Expected evidence that was measured, one of {WRITTEN_EVIDENCE}. "
                f"Received: {self.evidence!r}. Let FrequencyOrder count the ids first."
            )
        total = None if self.steps is None else self.curve.total
        optional = {
            "steps": self.steps,
            "total": total,
            "digest": self.digest,
            "fit": self.fit,
            "ranks_digest": self.ranks_digest,
            "ranks_path": self.ranks_path,
        }
        return {
            "version": VERSION if self.ranks_digest is None else RANKS_VERSION,
            "min_id": self.min_id,
            "max_id": self.max_id,
            "frequency_ordered": self.frequency_ordered,
            "evidence": self.evidence,
            **{name: value for name, value in optional.items() if value is not None},
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any], column: str) -> "PopularityMetadata":
        """Builds the metadata from the result of `to_dict`.

        Integers may be floats, as in schema files.

        Args:
          fields: the value of the property `popularity`.
          column: name of the column, for messages.

        Raises:
          SchemaError: the version is another one; a field is missing, has the wrong type or
            contradicts another field; or the steps do not sum to `total`.
        """
        try:
            _check_written(fields)
            written: Any = {name: fields.get(name) for name in cls.__dataclass_fields__}
            metadata = cls(**written)
            _check_total(fields.get("total"), metadata)
        except PopSamplerError as error:
            raise SchemaError(f"Column {column!r}: {error}") from error
        return metadata


def _measured(
    exact: PopularityCurve, domain: IdDomain, max_steps: int
) -> Tuple[str, Optional[Dict[str, Dict[str, float]]]]:
    """Returns the steps as text, and the distances of distributions from the exact steps."""
    steps, fit = exact.merged(max_steps), None
    if domain.size:
        fit = {
            "log_uniform": rounded(distance_of_steps(LogUniform(domain.size), exact)),
            "steps": rounded(distance_of_steps(Empirical(steps), exact)),
        }
    return steps.to_text(domain), fit


def rounded(distance: Mapping[str, float]) -> Dict[str, float]:
    """Rounds distances so that every processor writes the same text for the same data.

    Logarithms and sums differ between processors, here by some 1e-15. Two results that differ by
    `d` are written differently with a chance of `d` / 1e-6, one in a billion.

    Args:
      distance: numbers `>= 0` by name, of order 1 at most.

    Returns:
      The numbers to `DECIMALS` decimals, within 1e-6.

    Examples:
      >>> rounded({"tv": 0.34013897088191314, "kl": 6.9e-18})
      {'tv': 0.340139, 'kl': 0.0}
    """
    return {name: round(number + _OFF_TIES, DECIMALS) for name, number in distance.items()}


def _check_written(fields: Any) -> None:
    """Raises a SchemaError for the property of another version, or one that was edited."""
    if not isinstance(fields, Mapping):
        raise SchemaError(_unexpected("the property", "a dict", fields))
    version, evidence = fields.get("version"), fields.get("evidence")
    expected = VERSION if fields.get("ranks_digest") is None else RANKS_VERSION
    if not (is_number(version) and version in (VERSION, RANKS_VERSION)):
        raise SchemaError(
            f"Expected version of {PROPERTY!r} to be {VERSION} or {RANKS_VERSION}. Received: "
            f"{truncate_repr(version)}. Install the version of merlin_popsampler that wrote it, or "
            "write the data set anew."
        )
    if version != expected:
        which = "with" if expected == RANKS_VERSION else "without"
        raise SchemaError(_unexpected("version", f"{expected}, {which} ranks_digest", version))
    if not (isinstance(evidence, str) and evidence in WRITTEN_EVIDENCE):
        raise SchemaError(_unexpected("evidence", f"one of {WRITTEN_EVIDENCE}", evidence))


def _check_total(total: Any, metadata: PopularityMetadata) -> None:
    """Raises a SchemaError if the sum of the steps is not `total`."""
    if metadata.steps is None:
        expected, fine = "absent where there are no steps", total is None
    else:
        expected = f"{metadata.curve.total}, the sum of the steps (was one of them changed?)"
        fine = is_number(total) and total == metadata.curve.total
    if not fine:
        raise SchemaError(_unexpected("total", expected, total))


def _unexpected(name: str, expected: str, received: Any) -> str:
    return (
        f"Expected {name} of {PROPERTY!r} to be {expected}. Received: {truncate_repr(received)}. "
        "Write the data set again with this version of merlin_popsampler."
    )


def _is_fit(fit: Any) -> bool:
    """Tests whether a value is `{distribution: {"tv": number, "kl": number}}`."""
    return isinstance(fit, Mapping) and all(
        isinstance(measures, Mapping)
        and {"tv", "kl"} <= set(measures)
        and all(is_number(number) for number in measures.values())
        for measures in fit.values()
    )
