"""Represents the popularity of a catalog by a falling step function with exact integer sums."""

import math
import re
from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, List

import numpy as np
import numpy.typing as npt

from merlin_popsampler.errors import FrequencyOrderError, PopSamplerError, SchemaError

from .checks import frozen_array, truncate_repr, whole_number
from .domain import MAX_LEGAL_ID, IdDomain
from .run_lengths import run_starts

MAX_STEPS = 256
"""Default limit of the number of steps: within 0.003 of the data, and less than 6 KB."""
_TOO_MANY = 2**63
"""Exclusive limit of the sum of all counts, which is computed in 64 bits."""
_TEXT = re.compile(r"([0-9]+:[0-9]+,)+[0-9]+")


@dataclass(frozen=True, eq=False)
class PopularityCurve:
    """Describes the counts of the ranks `0` to `size - 1` by steps of equal height.

    The height of a step is the mean count of its ranks. Heights never rise, and each is at least 1.
    An id that never occurred counts as if it occurred once. So every item id can be drawn, and has
    an expected count.

    Args:
      starts: int64 `[num_steps]`, first rank of each step; `starts[0] == 0`, increasing.
      masses: int64 `[num_steps]`, sum of the counts of each step.
      size: number of ranks, the end of the last step (exclusive).

    Raises:
      PopSamplerError: steps that rise, that do not fill the ranks, that hold less than one count
        for each id, or that sum to 2**63 or more.

    Examples:
      >>> steps = PopularityCurve.from_counts([5, 3, 3, 1])
      >>> steps.starts.tolist(), steps.masses.tolist(), steps.heights.tolist()
      ([0, 1, 3], [5, 6, 1], [5.0, 3.0, 1.0])
      >>> steps.to_text(IdDomain(3, 6))
      '3:5,4:6,6:1,7'
    """

    starts: npt.NDArray[np.int64]
    masses: npt.NDArray[np.int64]
    size: int

    def __post_init__(self) -> None:
        for name in ("starts", "masses"):
            object.__setattr__(self, name, frozen_array(name, getattr(self, name), np.int64))
        size = whole_number("size", self.size, 0, "It is the number of ids.", MAX_LEGAL_ID)
        object.__setattr__(self, "size", size)
        problem = _problem(self.starts, self.masses, self.size)
        if problem:
            raise PopSamplerError(
                f"Expected falling steps that fill {self.size} ranks. Received: {problem}. "
                "Build them with PopularityCurve.from_counts."
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PopularityCurve):
            return NotImplemented
        return (
            self.size == other.size
            and np.array_equal(self.starts, other.starts)
            and np.array_equal(self.masses, other.masses)
        )

    def __hash__(self) -> int:
        return hash((self.size, self.starts.tobytes(), self.masses.tobytes()))

    def __len__(self) -> int:
        """Returns the number of steps."""
        return len(self.starts)

    @property
    def total(self) -> int:
        """Sum of all counts; an id that never occurred counts 1."""
        return int(self.masses.sum())

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Number of ids in each step, int64 `[num_steps]`."""
        return np.diff(self.starts, append=self.size)

    @property
    def heights(self) -> npt.NDArray[np.float64]:
        """Mean count of an id in each step, float64 `[num_steps]`, never rising."""
        heights: npt.NDArray[np.float64] = self.masses / self.lengths
        return heights

    @classmethod
    def from_counts(cls, counts: Any, max_steps: int = MAX_STEPS) -> "PopularityCurve":
        """Builds the curve of counts in rank order.

        The curve is exact if there are at most `max_steps` different counts. Otherwise, neighbours
        are merged if their counts differ by at most a common factor, the smallest that leaves at
        most `max_steps` steps. A merged step keeps the sum of its counts.

        Args:
          counts: integers `[size]`, never rising; zeros are read as ones.
          max_steps: largest number of steps, at least 1.

        Raises:
          FrequencyOrderError: a count is higher than the one before it.
          PopSamplerError: `counts` is not a list of integers `>= 0`, or `max_steps` is below 1.

        Examples:
          >>> PopularityCurve.from_counts([9, 8, 2, 1], max_steps=2).masses.tolist()
          [17, 3]
        """
        array = _clean(counts)
        return cls.from_runs(array, np.ones(array.size, np.int64)).merged(max_steps)

    @classmethod
    def from_runs(cls, counts: Any, lengths: Any) -> "PopularityCurve":
        """Builds the exact curve of run-length encoded counts in rank order.

        Args:
          counts: integers `[runs]`, never rising; zeros are read as ones.
          lengths: integers `[runs]`, at least 1: the number of ranks of each run.

        Raises:
          FrequencyOrderError, PopSamplerError: as from `from_counts`.

        Examples:
          >>> curve = PopularityCurve.from_runs([5, 3, 1], [1, 2, 1])
          >>> curve == PopularityCurve.from_counts([5, 3, 3, 1])
          True
        """
        array = _clean(counts)
        if not array.size:
            return cls(np.zeros(0, np.int64), np.zeros(0, np.int64), 0)
        starts = np.append(0, np.cumsum(lengths))
        firsts = run_starts(array)
        size = int(starts[-1])
        starts = starts[firsts]
        return cls(starts, array[firsts] * np.diff(starts, append=size), size)

    def merged(self, max_steps: int = MAX_STEPS) -> "PopularityCurve":
        """Merges neighbouring steps until at most `max_steps` are left; see `from_counts`.

        Args:
          max_steps: largest number of steps, at least 1.

        Raises:
          PopSamplerError: `max_steps` is not a whole number `>= 1`.

        Examples:
          >>> PopularityCurve.from_counts([9, 8, 2, 1]).merged(2).heights.tolist()
          [8.5, 1.5]
        """
        max_steps = whole_number("max_steps", max_steps, 1, f"By default it is {MAX_STEPS}.")
        if len(self) <= max_steps:
            return self
        firsts = _merge(self.heights.tolist(), max_steps)
        firsts = _regrouped(self.masses.tolist(), self.lengths.tolist(), firsts)
        sums = np.append(0, np.cumsum(self.masses))
        return PopularityCurve(self.starts[firsts], np.diff(sums[[*firsts, -1]]), self.size)

    @classmethod
    def parse(cls, text: Any, domain: IdDomain) -> "PopularityCurve":
        """Parses the result of `to_text`.

        Args:
          text: first id and sum of the counts of each step, then the first id after the steps:
            `"id:sum,id:sum,...,id"`. `""` if there are no ids.
          domain: the ids that the steps must fill.

        Raises:
          SchemaError: the text has another form, or the steps rise or do not fill the domain.

        Examples:
          >>> curve = PopularityCurve.parse("3:5,4:6,6:1,7", IdDomain(3, 6))
          >>> curve == PopularityCurve.from_counts([5, 3, 3, 1])
          True
        """
        try:
            if text == "":
                return cls(np.zeros(0, np.int64), np.zeros(0, np.int64), domain.size)
            if not isinstance(text, str) or not _TEXT.fullmatch(text):
                raise PopSamplerError("not a list of first id:count")
            *steps, end = text.split(",")
            after = domain.id(domain.size)
            if end != str(after):
                raise PopSamplerError(f"an end at {truncate_repr(end)} instead of {after}")
            pairs = np.array([step.split(":") for step in steps]).astype(np.int64)
            return cls(domain.rank(pairs[:, 0]), pairs[:, 1], domain.size)
        except (ValueError, OverflowError) as error:
            raise SchemaError(
                f"Expected falling steps from id {domain.min_id} to id {domain.max_id}, as text "
                '"first id:count of the whole step,...,first id after the steps". '
                f"Received: {truncate_repr(text)} ({error}). "
                "Run the preprocessing workflow again and do not edit its schema."
            ) from None

    def to_text(self, domain: IdDomain) -> str:
        """Writes the steps as one string with the ids of `domain`; `parse` is its inverse.

        Each step is its first id and the sum of its counts. The string ends with the first id after
        the steps. So `parse` detects truncated text, and text of another range.

        Args:
          domain: the ids of the ranks.

        Raises:
          PopSamplerError: `domain` has another size than the curve.
        """
        if domain.size != self.size:
            raise PopSamplerError(
                f"Expected a domain of {self.size} ids. Received: {domain}. "
                "Pass the domain whose ids were counted."
            )
        firsts = domain.id(self.starts).tolist()
        steps = [f"{first}:{mass}" for first, mass in zip(firsts, self.masses.tolist())]
        return ",".join([*steps, str(domain.id(self.size))]) if steps else ""


def _problem(starts: npt.NDArray[np.int64], masses: npt.NDArray[np.int64], size: int) -> str:
    """Returns a description of what is wrong with the steps, or ""."""
    if starts.ndim != 1 or starts.shape != masses.shape:
        return f"starts of shape {starts.shape} and masses of shape {masses.shape}"
    if not len(starts):
        return "no steps" if size else ""
    lengths = np.diff(starts, append=size)
    if starts[0] != 0 or (lengths < 1).any():
        return f"starts that do not run from 0 to below {size}"
    if (masses < lengths).any():
        return f"less than one count an id in step {int(np.argmax(masses < lengths))}"
    # Python integers: the products of 64-bit masses and lengths overflow.
    pairs = list(zip(masses.tolist(), lengths.tolist()))
    for i, ((mass, length), (mass2, length2)) in enumerate(zip(pairs, pairs[1:])):
        if mass2 * length > mass * length2:
            return f"step {i + 1} is higher than step {i}"
    total = sum(masses.tolist())
    return f"counts that sum to {total}, beyond 64 bits" if total >= _TOO_MANY else ""


def _clean(counts: Any) -> npt.NDArray[np.int64]:
    """Checks counts, and raises each to at least 1."""
    try:
        array = np.asarray(counts)
    except ValueError:  # lists of unequal lengths
        array = np.zeros(1, object)
    if array.size == 0:
        array = array.astype(np.int64).reshape(-1)
    if array.ndim != 1 or array.dtype.kind not in "iu" or (array.size and array.min() < 0):
        raise PopSamplerError(
            "Expected a flat list of whole counts >= 0. "
            f"Received: {array.dtype} of shape {array.shape}. Pass one count per id, in id order."
        )
    total = array.sum(dtype=np.float64) + array.size
    if total >= _TOO_MANY:
        raise PopSamplerError(
            f"Expected counts that sum to less than {_TOO_MANY}. Received: a sum of {total:.3g}. "
            "Divide all of them by the same number."
        )
    if array.size and array.min() < 1:
        array = np.maximum(array, 1)
    rises = np.flatnonzero(array[1:] > array[:-1])
    if rises.size:
        rank = int(rises[0])
        raise FrequencyOrderError(
            "Expected counts that never rise. "
            f"Received: {array[rank]} at rank {rank} and {array[rank + 1]} at rank {rank + 1}. "
            "Order the ids by frequency first (FrequencyCategorify does)."
        )
    return array.astype(np.int64, copy=False)


def _merge(values: List[float], max_steps: int) -> List[int]:
    """Returns the first index of each group of falling values, for the smallest possible factor.

    The factor is the largest ratio of two values of a group. For a given factor, greedy groups are
    the fewest. So their number falls as the factor grows, and bisection finds the smallest factor.
    The code uses only products, quotients and square roots, whose bits IEEE 754 defines. `log` and
    `exp` differ between processors.
    """
    negated = [-value for value in values]

    def groups(factor: float) -> List[int]:
        firsts = [0]
        while len(firsts) <= max_steps:
            # first value below the top of the group divided by the factor
            stop = bisect_right(negated, -values[firsts[-1]] / factor, firsts[-1])
            if stop <= firsts[-1]:
                stop = firsts[-1] + 1
            if stop >= len(values):
                break
            firsts.append(stop)
        return firsts

    low, high = 1.0, values[0] / values[-1] * (1.0 + 2.0**-50)  # at `high`, one group
    middle = math.sqrt(low * high)
    while low < middle < high:
        if len(groups(middle)) <= max_steps:
            high = middle
        else:
            low = middle
        middle = math.sqrt(low * high)
    return groups(high)


def _regrouped(masses: List[int], lengths: List[int], firsts: List[int]) -> List[int]:
    """Forms greedy groups in exact arithmetic, for the largest factor within the given groups.

    So the rounding of quotients does not separate heights that differ by exactly this factor.
    """
    lasts = [*(first - 1 for first in firsts[1:]), -1]
    factor = max(
        Fraction(masses[first] * lengths[last], masses[last] * lengths[first])
        for first, last in zip(firsts, lasts)
    )
    groups, above, below = [0], masses[0] * factor.denominator, lengths[0] * factor.numerator
    for step, (mass, length) in enumerate(zip(masses, lengths)):
        if above * length > mass * below:
            groups.append(step)
            above, below = mass * factor.denominator, length * factor.numerator
    return groups
