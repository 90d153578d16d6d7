"""Laws of one draw over the ranks of a catalog, in float64: the reference for every device."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Dict, Tuple

import numpy as np
import numpy.typing as npt

from merlin_popsampler.errors import PopSamplerError

from .domain import IdDomain
from .quadrature import sum_nodes
from .steps import Steps

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Law(ABC):
    """A distribution over the ranks `0` to `size - 1`, most frequent first.

    Attributes:
      name: the law's name in a sampler's configuration.
      size: number of ranks, at least 1.
    """

    name: ClassVar[str]
    size: int

    @abstractmethod
    def prob(self, ranks: Any) -> Floats:
        """Probability of one draw, float64 of the ranks' shape; 0 outside `[0, size)`."""

    @abstractmethod
    def inverse(self, uniforms: Any) -> Ints:
        """Ranks (int64) that uniforms in `[0, 1)` draw."""

    @abstractmethod
    def nodes(self) -> Tuple[Floats, Floats]:
        """Probabilities (falling) and multiplicities that stand for the catalog in sums.

        `sum over ranks of f(prob(rank))` equals `sum(multiplicity * f(prob))` for smooth `f`.
        """

    @abstractmethod
    def get_config(self) -> Dict[str, Any]:
        """Plain JSON values from which `law_from_config` makes the same law."""

    def probs(self) -> Floats:
        """Probability of every rank, float64 `[size]`: for reports, it has the catalog's length."""
        return self.prob(np.arange(self.size))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Law) and self.get_config() == other.get_config()

    def __hash__(self) -> int:
        return hash(repr(self.get_config()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size})"


class Uniform(Law):
    """Every rank alike: `p = 1 / size`.

    Example:
      >>> Uniform(4).prob([0, 3, 4]).tolist(), Uniform(4).inverse([0.0, 0.99]).tolist()
      ([0.25, 0.25, 0.0], [0, 3])
    """

    name = "uniform"

    def __init__(self, size: int) -> None:
        self.size = _checked_size(size)

    def prob(self, ranks: Any) -> Floats:
        ranks = np.asarray(ranks)
        return np.where((ranks >= 0) & (ranks < self.size), 1.0 / self.size, 0.0)

    def inverse(self, uniforms: Any) -> Ints:
        return _whole(np.asarray(uniforms, np.float64) * self.size, self.size)

    def nodes(self) -> Tuple[Floats, Floats]:
        return np.array([1.0 / self.size]), np.array([float(self.size)])

    def get_config(self) -> Dict[str, Any]:
        return {"name": self.name, "size": self.size}


class LogUniform(Law):
    """Zipf-like without a table: `p(rank) = log((rank + 2) / (rank + 1)) / log(size + 1)`.

    Example:
      >>> law = LogUniform(3)
      >>> law.prob([0, 1, 2]).round(4).tolist(), law.inverse([0.0, 0.49, 0.51, 0.99]).tolist()
      ([0.5, 0.2925, 0.2075], [0, 0, 1, 2])
    """

    name = "log_uniform"

    def __init__(self, size: int) -> None:
        self.size = _checked_size(size)

    def prob(self, ranks: Any) -> Floats:
        ranks = np.asarray(ranks)
        inside = (ranks >= 0) & (ranks < self.size)
        return np.where(inside, self._smooth(np.where(inside, ranks, 0)), 0.0)

    def _smooth(self, ranks: Any) -> Floats:
        """The formula at real ranks: log1p, as the difference of two near logs loses digits."""
        smooth: Floats = np.log1p(1.0 / (ranks + 1.0)) / np.log1p(self.size)
        return smooth

    def inverse(self, uniforms: Any) -> Ints:
        # floor(exp(y)) - 1 = floor(expm1(y)); rounding may reach `size`, which _whole clips.
        scaled = np.asarray(uniforms, np.float64) * np.log1p(self.size)
        return _whole(np.expm1(scaled), self.size)

    def nodes(self) -> Tuple[Floats, Floats]:
        ranks, multiplicities = sum_nodes(self.size)
        return self._smooth(ranks), multiplicities

    def get_config(self) -> Dict[str, Any]:
        return {"name": self.name, "size": self.size}


class Empirical(Law):
    """The measured popularity: `p(rank)` proportional to `height(step of rank) ** distortion`.

    Args:
      steps: the popularity curve, at least one step.
      distortion: 1 draws as often as counted, 0.75 is word2vec's choice, 0 is uniform.

    Attributes:
      starts: int64 `[num_steps]`, first rank of each step.
      step_probs: float64 `[num_steps]`, probability of one rank of each step.
      cdf: float64 `[num_steps + 1]`, probability of all ranks before each step; 0 to 1.

    Example:
      >>> law = Empirical(Steps.from_counts([5, 3, 1, 1]))
      >>> law.prob([0, 1, 2, 3]).tolist(), law.inverse([0.0, 0.5, 0.79, 0.95]).tolist()
      ([0.5, 0.3, 0.1, 0.1], [0, 1, 1, 3])
    """

    name = "empirical"

    def __init__(self, steps: Steps, distortion: float = 1.0) -> None:
        self.size = _checked_size(steps.size)
        if not 0.0 <= distortion < np.inf:
            raise PopSamplerError(
                f"Expected distortion >= 0. Received: {distortion}. Take 1.0 (as counted), "
                "0.75 (word2vec) or 0.0 (uniform)."
            )
        self.steps = steps
        self.distortion = float(distortion)
        self.starts = steps.starts
        # relative to the highest step, so that a large power cannot overflow
        weights = (steps.heights / steps.heights[0]) ** self.distortion
        before = np.concatenate(([0.0], np.cumsum(weights * steps.lengths)))
        self.step_probs: Floats = weights / before[-1]
        self.cdf: Floats = before / before[-1]

    def prob(self, ranks: Any) -> Floats:
        ranks = np.asarray(ranks)
        inside = (ranks >= 0) & (ranks < self.size)
        return np.where(inside, self.step_probs[self.step(ranks)], 0.0)

    def step(self, ranks: Any) -> Ints:
        """Index of the step of each rank, int64; ranks outside give the nearest step."""
        return np.asarray(np.maximum(np.searchsorted(self.starts, ranks, side="right") - 1, 0))

    def inverse(self, uniforms: Any) -> Ints:
        uniforms = np.asarray(uniforms, np.float64)
        step = np.searchsorted(self.cdf[1:-1], uniforms, side="right")
        within = ((uniforms - self.cdf[step]) / self.step_probs[step]).astype(np.int64)
        return np.asarray(self.starts[step] + np.minimum(within, self.steps.lengths[step] - 1))

    def nodes(self) -> Tuple[Floats, Floats]:
        return self.step_probs, self.steps.lengths.astype(np.float64)

    def probs(self) -> Floats:
        return np.repeat(self.step_probs, self.steps.lengths)

    def get_config(self) -> Dict[str, Any]:
        steps = self.steps.to_text(IdDomain(0, self.size - 1))
        size, distortion = self.size, self.distortion
        return {"name": self.name, "size": size, "steps": steps, "distortion": distortion}


def law_from_config(config: Dict[str, Any]) -> Law:
    """The law whose `get_config` gave `config`.

    Example:
      >>> law_from_config({"name": "log_uniform", "size": 7})
      LogUniform(size=7)
    """
    name, size = config.get("name"), int(config.get("size", 0))
    if name == LogUniform.name:
        return LogUniform(size)
    if name == Uniform.name:
        return Uniform(size)
    if name == Empirical.name:
        steps = Steps.parse(config["steps"], IdDomain(0, size - 1))
        return Empirical(steps, config.get("distortion", 1.0))
    raise PopSamplerError(
        f"Expected a law named log_uniform, empirical or uniform. Received: {name!r}. "
        "Pass the dict that get_config returned."
    )


def distance(law: Law, counts: Any) -> Dict[str, float]:
    """How far a law is from counts in rank order.

    Args:
      law: the law.
      counts: numbers `[law.size]`, `>= 0`, not all zero.

    Returns:
      `{"tv": total variation in [0, 1], "kl": KL(data to law) in nats}`.

    Example:
      >>> distance(Uniform(2), [3, 1])["tv"]
      0.25
    """
    array = np.asarray(counts, np.float64)
    total = float(array.sum()) if array.shape == (law.size,) else 0.0
    if not total > 0.0 or array.min() < 0:
        raise PopSamplerError(
            f"Expected {law.size} counts >= 0, not all zero. Received: shape {array.shape}, "
            f"sum {total}. Pass one count per id, in id order."
        )
    data, probs = array / total, law.probs()
    tv = 0.5 * float(np.abs(data - probs).sum())
    seen = data > 0
    if not seen.all():
        data, probs = data[seen], probs[seen]
    return {"tv": tv, "kl": max(0.0, float(data @ np.log(data / probs)))}


def _checked_size(size: Any) -> int:
    if isinstance(size, bool) or int(size) != size or size < 1:
        raise PopSamplerError(
            f"Expected a catalog of at least one item. Received: size={size!r}. "
            "Check min_id and max_id, both inclusive."
        )
    return int(size)


def _whole(values: Floats, size: int) -> Ints:
    return np.minimum(values.astype(np.int64), size - 1)
