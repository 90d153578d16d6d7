"""Represents a distribution as data: segments of ranks, uniform or log-uniform within each segment.

All properties of a distribution follow from its segments: the probability of a rank, the rank of a
uniform, and sums over the catalog. So a distribution is written once. Every framework interprets
the segments, and never tests the class of the distribution.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Optional, Tuple

import numpy as np
import numpy.typing as npt

from merlin_popsampler.errors import PopSamplerError

from .checks import catalog_size, frozen_array, is_number, list_length
from .quadrature import sum_nodes

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_LONGEST_HEAD = 2**17
_ROUNDING = 1e-9
"""Tolerance of the sum of the masses, which must be 1."""
_LEAST = 1e-37
"""Smallest probability of a rank, near the end of float32, in which devices compute counts."""
_FELT = 2.0**-30
"""Smallest mass of a tail; the ranks of a lighter tail are too rare for separate draws."""


@dataclass(frozen=True, eq=False)
class Segments:
    """Describes a distribution over the ranks `0` to `size - 1`, most frequent first.

    Each segment is uniform in the rank, or one single segment is uniform in `log(rank + shift)`:

      flat (`shift` is None):  p(rank) = mass / length of the rank's segment
      logarithmic:             p(rank) = log((rank + shift + 1) / (rank + shift))
                                         / log((size + shift) / shift)

    Args:
      starts: int64 `[num_segments]`, first rank of each segment; `starts[0] == 0`, increasing.
      masses: float64 `[num_segments]`, probability of each segment, positive; their sum is 1.
      size: number of ranks, the end of the last segment (exclusive), from 1 to 2**53.
      shift: None, or a number > 0 (then there is one segment).

    Raises:
      PopSamplerError: the segments do not fill the ranks; the masses are not probabilities that
        sum to 1; a probability rises from one segment to the next, or is below 1e-37.

    Examples:
      >>> segments = Segments([0, 1], [0.5, 0.5], size=3)
      >>> segments.prob([0, 1, 2, 3]).tolist(), segments.inverse([0.0, 0.6, 0.99]).tolist()
      ([0.5, 0.25, 0.25, 0.0], [0, 1, 2])
    """

    starts: Ints
    masses: Floats
    size: int
    shift: Optional[float] = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", catalog_size(self.size))
        for name, dtype in (("starts", np.int64), ("masses", np.float64)):
            object.__setattr__(self, name, frozen_array(name, getattr(self, name), dtype))
        problem = self._problem()
        if problem:
            raise PopSamplerError(
                f"Expected segments that fill {self.size} ranks, of falling probability. Received: "
                f"{problem}. Give the segments in the order of their ranks, the likeliest first."
            )
        least = float(self.prob(self.size - 1))
        if not least >= _LEAST:
            raise PopSamplerError(
                f"Expected every rank to have a probability of {_LEAST} or more, which float32 "
                f"holds. Received: {least:.3g} for the last of {self.size} ranks. "
                "Take a flatter distribution: a smaller distortion, for example 1.0 (as counted)."
            )

    @cached_property
    def lengths(self) -> Ints:
        """Number of ranks in each segment, int64 `[num_segments]`."""
        return np.diff(self.starts, append=self.size)

    @cached_property
    def probs(self) -> Floats:
        """Probability of one rank of each flat segment, float64 `[num_segments]`."""
        probs: Floats = self.masses / self.lengths
        return probs

    @cached_property
    def cdf(self) -> Floats:
        """Probability of all ranks before each segment, float64 `[num_segments + 1]`; 0 to 1."""
        before = np.concatenate(([0.0], np.cumsum(self.masses)))
        cdf: Floats = before / before[-1]
        return cdf

    @cached_property
    def log_range(self) -> float:
        """`log((size + shift) / shift)`, by which the logarithmic segment is scaled."""
        return float(np.log1p(self.size / self._shift))

    @property
    def _shift(self) -> float:
        return 1.0 if self.shift is None else self.shift

    def index(self, ranks: Any) -> Ints:
        """Returns the index of each rank's segment, int64 of their shape.

        Ranks outside of `[0, size)` get the nearest segment.
        """
        return np.asarray(np.maximum(np.searchsorted(self.starts, ranks, side="right") - 1, 0))

    def prob(self, ranks: Any) -> Floats:
        """Returns the probability of each rank in one draw, 0 outside `[0, size)`.

        Args:
          ranks: integers of any shape.

        Returns:
          float64 of the shape of `ranks`.
        """
        ranks = np.asarray(ranks)
        inside = (ranks >= 0) & (ranks < self.size)
        if self.shift is None:
            return np.where(inside, self.probs[self.index(ranks)], 0.0)
        return np.where(inside, self.smooth(np.where(inside, ranks, 0)), 0.0)

    def dense(self) -> Floats:
        """Returns the probability of every rank, float64 `[size]`.

        Raises:
          PopSamplerError: there are more than a billion ranks.
        """
        list_length(self.size)
        if self.shift is None:
            return np.repeat(self.probs, self.lengths)
        return self.smooth(np.arange(self.size))

    def smooth(self, ranks: Any) -> Floats:
        """Evaluates the logarithmic formula at real numbers, float64 of their shape.

        It uses log1p, since the difference of two close logarithms loses digits.
        """
        smooth: Floats = np.log1p(1.0 / (ranks + self._shift)) / self.log_range
        return smooth

    def inverse(self, uniforms: Any) -> Ints:
        """Maps uniforms in `[0, 1)` to ranks, int64 of their shape: the inverse CDF."""
        uniforms = np.asarray(uniforms, np.float64)
        if self.shift is not None:
            real = self._shift * np.expm1(uniforms * self.log_range)
        else:
            segment = np.searchsorted(self.cdf[1:-1], uniforms, side="right")
            within = np.floor((uniforms - self.cdf[segment]) / self.probs[segment])
            real = self.starts[segment] + np.minimum(within, self.lengths[segment] - 1)
        # Rounding may reach `size`.
        return np.asarray(np.minimum(real.astype(np.int64), self.size - 1))

    def nodes(self) -> Tuple[Floats, Floats]:
        """Returns falling probabilities and multiplicities that represent the catalog in sums.

        For smooth `f`, `sum(multiplicity * f(prob))` is the sum of `f(prob(rank))` over all ranks.
        """
        if self.shift is None:
            return self.probs, self.lengths.astype(np.float64)
        ranks, multiplicities = sum_nodes(self.size)
        return self.smooth(ranks), multiplicities

    def heads(self) -> Tuple[Ints, Floats]:
        """Returns the lengths that the head of a `DrawPlan` can have, and the mass of each head.

        The head is the first ranks, for each of which a plan decides separately whether a batch
        contains it. It consists of whole segments. In a logarithmic segment, its length is a power
        of 2 minus 1.

        Returns:
          Lengths, int64 `[num_heads]`, from 0 on, rising; and the probability that one draw is in
          each head, float64 `[num_heads]`.
        """
        if self.shift is None:
            short = (self.starts <= _LONGEST_HEAD) & (self.cdf[:-1] < 1.0 - _FELT)
            return self.starts[short], self.cdf[:-1][short]
        # One below a power of 2, so that scaling the tail's draws by `head + 1` is exact.
        heads = 2 ** np.arange(min(18, self.size.bit_length())) - 1
        return heads, np.log1p(heads / self._shift) / self.log_range

    def _problem(self) -> str:
        """Returns a description of what is wrong with the segments, or ""."""
        if self.starts.ndim != 1 or self.starts.shape != self.masses.shape or not self.starts.size:
            return f"starts of shape {self.starts.shape} and masses of shape {self.masses.shape}"
        if self.starts[0] != 0 or (self.lengths < 1).any():
            return f"starts that do not run from 0 to below {self.size}"
        if not (np.isfinite(self.masses).all() and (self.masses >= 0).all()):
            return "masses that are not all positive numbers"
        if abs(self.masses.sum() - 1.0) > _ROUNDING:
            return f"masses that sum to {self.masses.sum()}, not to 1"
        if self.shift is not None and not (
            len(self.starts) == 1 and is_number(self.shift) and 0 < self.shift < np.inf
        ):
            return f"shift {self.shift!r} of {len(self.starts)} segments"
        rises = np.flatnonzero(np.diff(self.probs) > 1e-12 * self.probs[:-1])
        return f"segment {rises[0] + 1} likelier than the one before it" if rises.size else ""
