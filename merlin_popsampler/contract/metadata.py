"""What a Merlin schema knows about the popularity of one id column."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Dict, Mapping, Optional

import numpy as np

from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.core.laws import Empirical, Law, LogUniform, distance
from merlin_popsampler.core.pieces import Ints
from merlin_popsampler.core.steps import Steps
from merlin_popsampler.errors import PopSamplerError, SchemaError

PROPERTY = "popularity"
"""Key of the contract among a column schema's properties."""

VERSION = 1
EVIDENCE = ("vocabulary", "counted", "assumed")
WRITTEN_EVIDENCE = EVIDENCE[:2]


@dataclass(frozen=True)
class PopularityMetadata:
    """Range, order and popularity curve of the ids of one column.

    Args:
      min_id: first id that stands for an item, inclusive.
      max_id: last id that stands for an item, inclusive; `min_id - 1` where there is none.
      frequency_ordered: whether the counts never rise from `min_id` to `max_id`.
      evidence: "vocabulary" (the encoder's own counts), "counted" (the ids that passed a node) or
        "assumed" (nobody counted; such metadata is never written into a schema).
      steps: the popularity curve as text, `"first id:count of the whole step,..."` (see
        `steps.Steps`); None where there is no order or where it was assumed.
      digest: of the counts file, so that a report can tell whether a file belongs to the schema.
      fit: distance of each law to the counts, `{"log_uniform": {"tv", "kl"}, "steps": {...}}`, KL
        from the data to the law in nats; None where there is no order.
    """

    min_id: int
    max_id: int
    frequency_ordered: bool
    evidence: str
    steps: Optional[str] = None
    digest: Optional[str] = None
    fit: Optional[Dict[str, Dict[str, float]]] = None

    @property
    def domain(self) -> IdDomain:
        """The ids that stand for an item."""
        return IdDomain(self.min_id, self.max_id)

    @cached_property
    def curve(self) -> Steps:
        """The popularity curve that `steps` writes down, read once.

        Raises:
          SchemaError: no steps, or steps that do not fit the range.
        """
        return Steps.parse(self.steps, self.domain)

    @classmethod
    def from_counts(
        cls, counts: Ints, min_id: int, evidence: str, max_steps: int
    ) -> "PopularityMetadata":
        """Metadata of measured counts.

        Args:
          counts: int64 `[n]`, occurrences of the ids `min_id` to `min_id + n - 1`, raw: an id of
            the range that was never seen counts as seen once in the order and in the steps.
          min_id: id of the first count.
          evidence: "vocabulary" or "counted".
          max_steps: most steps of the curve, `>= 1`.
        """
        domain = IdDomain(min_id, min_id + len(counts) - 1)
        known = np.maximum(np.asarray(counts, np.int64), 1)
        ordered = bool(np.all(known[1:] <= known[:-1]))
        text, fit = None, None
        if ordered:
            steps = Steps.from_counts(known, max_steps)
            text = steps.to_text(domain)
            if domain.size:
                fit = {
                    "log_uniform": distance(LogUniform(domain.size), known),
                    "steps": distance(Empirical(steps), known),
                }
        return cls(domain.min_id, domain.max_id, ordered, evidence, text, None, fit)

    def law(self) -> Law:
        """The best law that the schema carries: the measured one, or log-uniform without steps.

        Raises:
          SchemaError: the ids are not in order, or there are none.
        """
        if not self.frequency_ordered:
            raise SchemaError(
                "Expected ids sorted by decreasing frequency. Received: a schema that says they "
                "are not. Use FrequencyCategorify, or FrequencyOrder(on_violation='remap')."
            )
        if not self.domain.size:
            raise SchemaError(
                "Expected at least one item. "
                f"Received: the empty range {self.min_id}..{self.max_id}. "
                "Fit the workflow on data that holds items."
            )
        if self.steps is None:
            return LogUniform(self.domain.size)
        return Empirical(self.curve)

    def to_dict(self) -> Dict[str, Any]:
        """A dict of plain numbers, strings and dicts, which Merlin's schema files can carry."""
        if self.evidence not in WRITTEN_EVIDENCE:
            raise PopSamplerError(
                f"Expected evidence that was measured, one of {WRITTEN_EVIDENCE}. "
                f"Received: {self.evidence!r}. Let FrequencyOrder count the ids first."
            )
        optional = {"steps": self.steps, "digest": self.digest, "fit": self.fit}
        return {
            "version": VERSION,
            "min_id": self.min_id,
            "max_id": self.max_id,
            "frequency_ordered": self.frequency_ordered,
            "evidence": self.evidence,
            **{name: value for name, value in optional.items() if value is not None},
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any], column: str) -> "PopularityMetadata":
        """Reads `to_dict`'s answer back, also after a schema file has made floats of integers.

        Args:
          fields: the property's value.
          column: name of the column, for messages.

        Raises:
          SchemaError: an unknown version, a field that is missing or of another kind, a range that
            is none, steps that rise or do not fill the range.
        """
        _check_kinds(fields, column)
        try:
            bounds: Any = [fields.get(name) for name in ("min_id", "max_id")]
            domain = IdDomain(*bounds)
            metadata = cls(
                domain.min_id,
                domain.max_id,
                fields["frequency_ordered"],
                fields["evidence"],
                fields.get("steps"),
                fields.get("digest"),
                fields.get("fit"),
            )
            if metadata.steps is not None:
                metadata.curve  # noqa: B018 - a curve that cannot be read is refused here and now
        except PopSamplerError as error:
            raise SchemaError(f"Column {column!r}: {error}") from error
        return metadata


def _check_kinds(fields: Any, column: str) -> None:
    """Refuses what another version, or another hand, wrote."""
    what_to_do = "Write the data set anew with this version of merlin_popsampler."
    if not isinstance(fields, Mapping):
        raise SchemaError(
            f"Column {column!r}: expected the property {PROPERTY!r} to be a dict. "
            f"Received: {fields!r}. {what_to_do}"
        )
    if fields.get("version") != VERSION:
        raise SchemaError(
            f"Column {column!r}: expected {PROPERTY!r} of version {VERSION}. "
            f"Received: version {fields.get('version')!r}. {what_to_do}"
        )
    for name, expected, fine in (
        ("frequency_ordered", "a bool", isinstance(fields.get("frequency_ordered"), bool)),
        ("evidence", f"one of {WRITTEN_EVIDENCE}", fields.get("evidence") in WRITTEN_EVIDENCE),
        ("steps", _expected_steps(fields), _fine_steps(fields)),
        ("digest", "a string, or absent", isinstance(fields.get("digest"), (str, type(None)))),
        ("fit", "a dict, or absent", isinstance(fields.get("fit"), (Mapping, type(None)))),
    ):
        if not fine:
            raise SchemaError(
                f"Column {column!r}: expected {name} of {PROPERTY!r} to be {expected}. "
                f"Received: {fields.get(name)!r}. {what_to_do}"
            )


def _expected_steps(fields: Mapping[str, Any]) -> str:
    return "a string" if fields.get("frequency_ordered") else "absent where there is no order"


def _fine_steps(fields: Mapping[str, Any]) -> bool:
    return isinstance(fields.get("steps"), str if fields.get("frequency_ordered") else type(None))
