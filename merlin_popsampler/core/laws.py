"""Laws of one draw over the ranks of a catalog, in float64: the reference for every device.

A law is its pieces and its configuration. To add one, write a class here: what draws, prices, saves
and reports needs no change.
"""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, ClassVar, Dict, Mapping, Tuple, Type, TypeVar

import numpy as np

from merlin_popsampler.errors import PopSamplerError

from .checks import catalog_size, is_number, shown
from .domain import IdDomain
from .pieces import Floats, Ints, Pieces
from .steps import Steps

AnyLaw = TypeVar("AnyLaw", bound="Type[Law]")
_LAWS: Dict[str, "Type[Law]"] = {}
_BLOCK = 2**20
"""Ranks at a time, where a catalog is too large for lists of its length."""


def register_law(law: AnyLaw) -> AnyLaw:
    """Class decorator: a law that its name stands for, in configurations and as `law="<name>"`.

    Raises:
      PopSamplerError: another class has that name.
    """
    if _LAWS.setdefault(law.name, law).__qualname__ != law.__qualname__:
        raise PopSamplerError(
            f"Expected a name of its own for {law.__qualname__}. Received: {law.name!r}, which is "
            f"{_LAWS[law.name].__qualname__}'s. Choose another."
        )
    _LAWS[law.name] = law
    return law


class Law(ABC):
    """A distribution over the ranks `0` to `size - 1`, most frequent first; it never changes.

    Args:
      pieces: where its probability lies.

    Attributes:
      name: the law's name in a sampler's configuration.
      size: number of ranks, at least 1.
      pieces: all that a device must know to draw by this law.
    """

    name: ClassVar[str]

    def __init__(self, pieces: Pieces) -> None:
        self.pieces = pieces
        self.size = pieces.size

    @abstractmethod
    def get_config(self) -> Dict[str, Any]:
        """Plain JSON values from which `law_from_config` makes the same law: `name`, `size`, ..."""

    @classmethod
    def from_config(cls, config: Dict[str, Any]) -> "Law":
        """The law whose `get_config` gave `config`, its `name` left out."""
        return cls(**config)

    def prob(self, ranks: Any) -> Floats:
        """Probability of one draw, float64 of the ranks' shape; 0 outside `[0, size)`."""
        return self.pieces.prob(ranks)

    def inverse(self, uniforms: Any) -> Ints:
        """Ranks (int64) that uniforms in `[0, 1)` draw."""
        return self.pieces.inverse(uniforms)

    def nodes(self) -> Tuple[Floats, Floats]:
        """A short list that stands for the catalog in sums; see `Pieces.nodes`."""
        return self.pieces.nodes()

    def probs(self) -> Floats:
        """Probability of every rank, float64 `[size]`: for reports, it has the catalog's length."""
        return self.pieces.dense()

    @cached_property
    def _identity(self) -> str:
        """The configuration as text, made once: traces look laws up by it."""
        return repr(sorted(self.get_config().items()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Law) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size})"


@register_law
class Uniform(Law):
    """Every rank alike: `p = 1 / size`.

    Examples:
      >>> Uniform(4).prob([0, 3, 4]).tolist(), Uniform(4).inverse([0.0, 0.99]).tolist()
      ([0.25, 0.25, 0.0], [0, 3])
    """

    name = "uniform"

    def __init__(self, size: int) -> None:
        super().__init__(Pieces(np.zeros(1, np.int64), np.ones(1), size))

    def get_config(self) -> Dict[str, Any]:
        return {"name": self.name, "size": self.size}


@register_law
class LogUniform(Law):
    """Zipf-like without a table: `p(rank) = log((rank + 2) / (rank + 1)) / log(size + 1)`.

    Examples:
      >>> law = LogUniform(3)
      >>> law.prob([0, 1, 2]).round(4).tolist(), law.inverse([0.0, 0.49, 0.51, 0.99]).tolist()
      ([0.5, 0.2925, 0.2075], [0, 0, 1, 2])
    """

    name = "log_uniform"

    def __init__(self, size: int) -> None:
        super().__init__(Pieces(np.zeros(1, np.int64), np.ones(1), size, shift=1.0))

    def get_config(self) -> Dict[str, Any]:
        return {"name": self.name, "size": self.size}


@register_law
class Empirical(Law):
    """The measured popularity: `p(rank)` proportional to `height(step of rank) ** distortion`.

    Args:
      steps: the popularity curve, at least one step.
      distortion: 1 draws as often as counted, 0.75 is word2vec's choice, 0 is uniform.

    Examples:
      >>> law = Empirical(Steps.from_counts([5, 3, 1, 1]))
      >>> law.prob([0, 1, 2, 3]).tolist(), law.inverse([0.0, 0.5, 0.79, 0.95]).tolist()
      ([0.5, 0.3, 0.1, 0.1], [0, 1, 1, 3])
    """

    name = "empirical"

    def __init__(self, steps: Steps, distortion: float = 1.0) -> None:
        if not isinstance(steps, Steps):
            raise PopSamplerError(
                f"Expected the steps of a popularity curve. Received: {type(steps).__name__}. "
                "Build them with Steps.from_counts."
            )
        size = catalog_size(steps.size)
        if not (is_number(distortion) and 0.0 <= distortion < np.inf):
            raise PopSamplerError(
                f"Expected distortion >= 0. Received: {shown(distortion)}. Take 1.0 (as counted), "
                "0.75 (word2vec) or 0.0 (uniform)."
            )
        self.steps = steps
        self.distortion = float(distortion)
        # relative to the highest step, so that a large power cannot overflow
        weights = (steps.heights / steps.heights[0]) ** self.distortion
        masses = weights * steps.lengths
        super().__init__(Pieces(steps.starts, masses / masses.sum(), size))

    def get_config(self) -> Dict[str, Any]:
        steps = self.steps.to_text(IdDomain(0, self.size - 1))
        size, distortion = self.size, self.distortion
        return {"name": self.name, "size": size, "steps": steps, "distortion": distortion}

    @classmethod
    def from_config(cls, config: Dict[str, Any]) -> "Empirical":
        if "steps" not in config:
            raise PopSamplerError(
                "Expected the steps of the empirical law. Received: its name alone. Build the "
                "sampler by from_schema(..., law='empirical'), or pass laws.Empirical(steps)."
            )
        steps = Steps.parse(config["steps"], IdDomain(0, catalog_size(config.get("size")) - 1))
        return cls(steps, config.get("distortion", 1.0))


def law_from_config(config: Mapping[str, Any]) -> Law:
    """The law whose `get_config` gave `config`.

    Raises:
      PopSamplerError: no registered law's name, or not what that law is made of.

    Examples:
      >>> law_from_config({"name": "log_uniform", "size": 7})
      LogUniform(size=7)
    """
    name = config.get("name")
    if not isinstance(name, str) or name not in _LAWS:
        raise PopSamplerError(
            f"Expected a law's name, one of {sorted(_LAWS)}. Received: {name!r}. "
            "Take one of these, or the dict that a law's get_config returned."
        )
    try:
        return _LAWS[name].from_config({key: config[key] for key in config if key != "name"})
    except TypeError as error:
        raise PopSamplerError(
            f"Expected the configuration of the law {name!r}. Received: {sorted(config)} ({error})."
            " Pass the dict that its get_config returned."
        ) from None


def distance(law: Law, counts: Any) -> Dict[str, float]:
    """How far a law is from counts in rank order.

    Args:
      law: the law.
      counts: numbers `[law.size]`, `>= 0`, not all zero.

    Returns:
      `{"tv": total variation in [0, 1], "kl": KL(data to law) in nats}`.

    Examples:
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


def distance_of_steps(law: Law, steps: Steps) -> Dict[str, float]:
    """As `distance`, of counts that are given as steps: blocks of ranks are held, not all of them.

    Examples:
      >>> distance_of_steps(Uniform(2), Steps.from_counts([3, 1]))["tv"]
      0.25
    """
    tv = kl = 0.0
    for start in range(0, steps.size, _BLOCK):
        ranks = np.arange(start, min(start + _BLOCK, steps.size))
        data = steps.heights[np.searchsorted(steps.starts, ranks, "right") - 1] / steps.total
        probs = law.prob(ranks)
        tv += 0.5 * float(np.abs(data - probs).sum())
        kl += float((data * np.log(data / probs)).sum())
    return {"tv": tv, "kl": max(0.0, kl)}
