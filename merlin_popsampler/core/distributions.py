"""Defines the proposal distributions over the ranks of a catalog, in float64.

A distribution consists of segments and a configuration. To add one, write a class here. Drawing,
correction, saving and reports follow from these two, in every framework.
"""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, ClassVar, Dict, Iterator, Mapping, Tuple, Type, TypeVar

import numpy as np

from merlin_popsampler.errors import PopSamplerError

from .checks import catalog_size, is_number, truncate_repr
from .domain import IdDomain
from .popularity_curve import PopularityCurve
from .segments import Floats, Ints, Segments

AnyDistribution = TypeVar("AnyDistribution", bound="Type[Distribution]")
_DISTRIBUTIONS: Dict[str, "Type[Distribution]"] = {}
_BLOCK = 2**15
"""Number of ranks that are processed at a time, so that they stay in a processor's cache."""


def register_distribution(distribution: AnyDistribution) -> AnyDistribution:
    """Registers a distribution class by its name, as a class decorator.

    Configurations and `distribution="<name>"` find the class by that name.

    Args:
      distribution: a subclass of `Distribution` with a `name`.

    Returns:
      The class itself.

    Raises:
      PopSamplerError: another class has that name, or the class has none.

    Examples:
      >>> @register_distribution
      ... class TwoRanks(Distribution):
      ...     name = "two_ranks"
      ...
      ...     def __init__(self):
      ...         super().__init__(Segments(starts=[0, 1], masses=[0.75, 0.25], size=2))
      ...
      ...     def get_config(self):
      ...         return {"name": self.name}
      >>> distribution_from_config({"name": "two_ranks"}).probs().tolist()
      [0.75, 0.25]
    """
    name = getattr(distribution, "name", None)
    if not (isinstance(name, str) and name):
        raise PopSamplerError(
            f"Expected {distribution!r} to have a name, a string, by which configurations find it. "
            f"Received: {name!r}. Set the attribute `name` of the class."
        )
    known = _DISTRIBUTIONS.setdefault(distribution.name, distribution)
    # A notebook's cell that runs again defines its class anew.
    ours, theirs = (f"{each.__module__}.{each.__qualname__}" for each in (distribution, known))
    if ours != theirs:
        raise PopSamplerError(
            f"Expected a name of its own for {ours}. Received: {distribution.name!r}, which is "
            f"{theirs}'s. Choose another."
        )
    _DISTRIBUTIONS[distribution.name] = distribution
    return distribution


class Distribution(ABC):
    """Represents a proposal distribution over the ranks `0` to `size - 1`, most frequent first.

    Do not change a distribution after its construction: samplers keep what follows from it. Two
    distributions are equal if their configurations are equal.

    Args:
      segments: the probability mass of each range of ranks.

    Attributes:
      name: name of the distribution in the configuration of a sampler.
      size: number of ranks, at least 1.
      segments: the data from which a device draws.

    Examples:
      >>> LogUniform(3).prob([0, 1, 2]).round(4).tolist(), LogUniform(3) == LogUniform(3)
      ([0.5, 0.2925, 0.2075], True)
    """

    name: ClassVar[str]

    def __init__(self, segments: Segments) -> None:
        self.segments = segments
        self.size = segments.size

    @abstractmethod
    def get_config(self) -> Dict[str, Any]:
        """Returns JSON values from which `distribution_from_config` rebuilds the distribution."""

    @classmethod
    def from_config(cls, config: Dict[str, Any]) -> "Distribution":
        """Builds the distribution from the result of `get_config` without its `name`."""
        return cls(**config)

    def prob(self, ranks: Any) -> Floats:
        """Returns the probability of each rank in one draw, 0 outside `[0, size)`.

        Args:
          ranks: integers of any shape.

        Returns:
          float64 of the shape of `ranks`.
        """
        return self.segments.prob(ranks)

    def inverse(self, uniforms: Any) -> Ints:
        """Maps uniforms in `[0, 1)` to ranks, int64 of their shape: the inverse CDF."""
        return self.segments.inverse(uniforms)

    def nodes(self) -> Tuple[Floats, Floats]:
        """Returns a short list that represents the catalog in sums; see `Segments.nodes`."""
        return self.segments.nodes()

    def probs(self) -> Floats:
        """Returns the probability of every rank, float64 `[size]`, for reports.

        Raises:
          PopSamplerError: the catalog has more than a billion ranks.
        """
        return self.segments.dense()

    @cached_property
    def _identity(self) -> str:
        """Returns the configuration as text, by which distributions are compared."""
        return repr(sorted(self.get_config().items()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Distribution) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size})"


@register_distribution
class Uniform(Distribution):
    """Gives every rank the same probability: `p = 1 / size`.

    Args:
      size: number of ranks, from 1 to 2**53.

    Examples:
      >>> Uniform(4).prob([0, 3, 4]).tolist(), Uniform(4).inverse([0.0, 0.99]).tolist()
      ([0.25, 0.25, 0.0], [0, 3])
    """

    name = "uniform"

    def __init__(self, size: int) -> None:
        super().__init__(Segments(np.zeros(1, np.int64), np.ones(1), size))

    def get_config(self) -> Dict[str, Any]:
        return {"name": self.name, "size": self.size}


@register_distribution
class LogUniform(Distribution):
    """Approximates Zipf's law: `p(rank) = log((rank + 2) / (rank + 1)) / log(size + 1)`.

    It needs no counts, but assumes ids in frequency order.

    Args:
      size: number of ranks, from 1 to 2**53.

    Examples:
      >>> distribution = LogUniform(3)
      >>> distribution.prob([0, 1, 2]).round(4).tolist()
      [0.5, 0.2925, 0.2075]
      >>> distribution.inverse([0.0, 0.49, 0.51, 0.99]).tolist()
      [0, 0, 1, 2]
    """

    name = "log_uniform"

    def __init__(self, size: int) -> None:
        super().__init__(Segments(np.zeros(1, np.int64), np.ones(1), size, shift=1.0))

    def get_config(self) -> Dict[str, Any]:
        return {"name": self.name, "size": self.size}


@register_distribution
class Empirical(Distribution):
    """Follows the measured popularity: `p` is proportional to `height ** distortion`.

    The height of a rank is the mean count of its step in the popularity curve.

    Args:
      steps: the popularity curve, at least one step.
      distortion: power of the counts, `>= 0`. 1 draws as often as counted, 0.75 is the choice of
        word2vec, 0 is uniform.

    Raises:
      PopSamplerError: `steps` is not a `PopularityCurve`; or `distortion` is not a finite number
        `>= 0`, or is so large that a rank has a probability below 1e-37.

    Examples:
      >>> distribution = Empirical(PopularityCurve.from_counts([5, 3, 1, 1]))
      >>> distribution.prob([0, 1, 2, 3]).tolist()
      [0.5, 0.3, 0.1, 0.1]
      >>> distribution.inverse([0.0, 0.5, 0.79, 0.95]).tolist()
      [0, 1, 1, 3]
    """

    name = "empirical"

    def __init__(self, steps: PopularityCurve, distortion: float = 1.0) -> None:
        if not isinstance(steps, PopularityCurve):
            raise PopSamplerError(
                f"Expected the steps of a popularity curve. Received: {type(steps).__name__}. "
                "Build them with PopularityCurve.from_counts."
            )
        size = catalog_size(steps.size)
        if not (is_number(distortion) and 0.0 <= distortion < np.inf):
            raise PopSamplerError(
                f"Expected distortion >= 0. Received: {truncate_repr(distortion)}. "
                "Take 1.0 (as counted), 0.75 (word2vec) or 0.0 (uniform)."
            )
        self.steps = steps
        self.distortion = float(distortion)
        # relative to the highest step, so that a large power cannot overflow
        weights = (steps.heights / steps.heights[0]) ** self.distortion
        masses = weights * steps.lengths
        super().__init__(Segments(steps.starts, masses / masses.sum(), size))

    def get_config(self) -> Dict[str, Any]:
        steps = self.steps.to_text(IdDomain(0, self.size - 1))
        size, distortion = self.size, self.distortion
        return {"name": self.name, "size": size, "steps": steps, "distortion": distortion}

    @classmethod
    def from_config(cls, config: Dict[str, Any]) -> "Empirical":
        if "steps" not in config:
            raise PopSamplerError(
                "Expected the steps of the empirical distribution. Received: its name alone. Build "
                "the sampler by from_schema(..., distribution='empirical'), or pass "
                "distributions.Empirical(steps)."
            )
        steps = PopularityCurve.parse(
            config["steps"], IdDomain(0, catalog_size(config.get("size")) - 1)
        )
        return cls(steps, config.get("distortion", 1.0))


def distribution_from_config(config: Mapping[str, Any]) -> Distribution:
    """Builds a distribution from the result of its `get_config`.

    Args:
      config: `name`, and the arguments that the class of that name takes.

    Raises:
      PopSamplerError: the name is not registered, or the arguments do not fit its class.

    Examples:
      >>> distribution_from_config({"name": "log_uniform", "size": 7})
      LogUniform(size=7)
    """
    name = config.get("name")
    if not isinstance(name, str) or name not in _DISTRIBUTIONS:
        raise PopSamplerError(
            f"Expected a distribution's name, one of {sorted(_DISTRIBUTIONS)}. Received: {name!r}. "
            "Take one of these, or the dict that a distribution's get_config returned."
        )
    try:
        return _DISTRIBUTIONS[name].from_config(
            {key: config[key] for key in config if key != "name"}
        )
    except TypeError as error:
        raise PopSamplerError(
            f"Expected the configuration of the distribution {name!r}. "
            f"Received: {sorted(config)} ({error}). Pass the dict that its get_config returned."
        ) from None


def distance(distribution: Distribution, counts: Any) -> Dict[str, float]:
    """Measures the distance of a distribution from counts in rank order.

    Args:
      distribution: the distribution.
      counts: numbers `[distribution.size]`, `>= 0`, not all zero.

    Returns:
      `{"tv": total variation in [0, 1], "kl": KL(data to distribution) in nats}`.

    Raises:
      PopSamplerError: `counts` has another shape, a negative number, or only zeros.

    Examples:
      >>> distance(Uniform(2), [3, 1])["tv"]
      0.25
    """
    array = np.asarray(counts, np.float64)
    total = float(array.sum()) if array.shape == (distribution.size,) else 0.0
    if not total > 0.0 or array.min() < 0:
        raise PopSamplerError(
            f"Expected {distribution.size} counts >= 0, not all zero. "
            f"Received: shape {array.shape}, sum {total}. Pass one count per id, in id order."
        )
    data, probs = array / total, distribution.probs()
    tv = 0.5 * float(np.abs(data - probs).sum())
    seen = data > 0
    if not seen.all():
        data, probs = data[seen], probs[seen]
    return {"tv": tv, "kl": max(0.0, float(data @ np.log(data / probs)))}


def distance_of_steps(distribution: Distribution, steps: PopularityCurve) -> Dict[str, float]:
    """Measures the distance of a distribution from counts that are given as steps.

    Its memory does not grow with the catalog. See `distance` for the result.

    Args:
      distribution: the distribution.
      steps: the counts, a curve over as many ranks.

    Examples:
      >>> distance_of_steps(Uniform(2), PopularityCurve.from_counts([3, 1]))["tv"]
      0.25
    """
    tv = kl = 0.0
    for ranks, lengths in _pieces(distribution.segments, steps):
        data = steps.heights[np.searchsorted(steps.starts, ranks, "right") - 1] / steps.total
        probs = distribution.prob(ranks)
        tv += 0.5 * float(lengths @ np.abs(data - probs))
        kl += float(lengths @ (data * np.log(data / probs)))
    return {"tv": tv, "kl": max(0.0, kl)}


def _pieces(segments: Segments, steps: PopularityCurve) -> Iterator[Tuple[Ints, Floats]]:
    """Yields the first ranks and the lengths of pieces on which both are constant, in blocks."""
    if segments.shift is None:
        firsts = np.union1d(segments.starts, steps.starts)
        yield firsts, np.diff(firsts, append=steps.size).astype(np.float64)
    else:
        for start in range(0, steps.size, _BLOCK):
            ranks = np.arange(start, min(start + _BLOCK, steps.size))
            yield ranks, np.ones(len(ranks))
