"""Builds the constants by which a device maps uniforms to ranks, from a distribution's segments.

They are built in float64. Each framework has one interpreter of them.
"""

from dataclasses import dataclass
from typing import Optional, Tuple

import numpy as np
import numpy.typing as npt

from .alias import alias_table
from .checks import list_length
from .distributions import Distribution
from .domain import IdDomain
from .segments import Floats

Line = Tuple[float, float]
"""Offset and scale of an affine map."""
_CHUNK = 1 << 20
"""Number of ranks whose probabilities are held in float64 at a time."""


@dataclass(frozen=True, eq=False)
class InverseTable:
    """Maps uniforms u in [0, 1) to ranks, of a whole distribution or of the ranks behind a head.

    A rank is `floor(real)`, at most `size - 1`. `(offset, scale)` is either `whole` or `behind`.

    - Exponential, if `shift` is a number:
      `real = exp(u * scale) * offset - shift`.
    - Affine, if there are no `cuts`:
      `real = offset + u * scale`.
    - By columns, if there are `cuts`: `column = offset + u * scale`, `j = floor(column)` (at most
      the last column), `inside = column - j`. With `i = 2 j` if `inside` is below `cuts[j]`, and
      `i = 2 j + 1` otherwise, `real = lines[i, 0] + inside * lines[i, 1]`, at least the first rank
      that may be drawn. The first `head_columns` columns are those of the head. For the whole
      distribution, a u below `head_mass` uses them: `column = u * head_columns / head_mass`, below
      `head_columns`. Any other u uses `column = offset + (u - head_mass) * scale`.

    Attributes:
      size: number of ranks.
      head: first rank behind the head.
      shift: see "Exponential"; None otherwise.
      whole: offset and scale for the whole distribution.
      behind: offset and scale for the ranks behind the head.
      cuts: float64 `[columns]`.
      lines: float64 `[2 * columns, 2]`, offset and scale of each side of each cut.
      head_columns, head_mass: see "By columns".

    Examples:
      >>> from merlin_popsampler.core.distributions import Uniform
      >>> table = inverse_table(Uniform(4))
      >>> table.whole, table.cuts
      ((0.0, 4.0), None)

    References:
      Walker (1977) and Vose (1991), see `alias`.
    """

    size: int
    head: int
    whole: Line
    behind: Line
    shift: Optional[float] = None
    cuts: Optional[Floats] = None
    lines: Optional[Floats] = None
    head_columns: int = 0
    head_mass: float = 0.0


def inverse_table(distribution: Distribution, head: int = 0) -> InverseTable:
    """Builds the table of a distribution, for draws from all ranks and from those behind a head.

    Args:
      distribution: the distribution of one draw.
      head: first rank behind the head, the start of a segment or any rank of a logarithmic segment.

    Examples:
      >>> from merlin_popsampler.core.distributions import Uniform
      >>> inverse_table(Uniform(4), head=1).behind
      (1.0, 3.0)
    """
    segments = distribution.segments
    if segments.shift is not None:
        behind = segments.log_range - float(np.log1p(head / segments.shift))
        return InverseTable(
            distribution.size,
            head,
            whole=(segments.shift, segments.log_range),
            behind=(head + segments.shift, behind),
            shift=segments.shift,
        )
    if len(segments.starts) == 1:
        size = float(distribution.size)
        return InverseTable(
            distribution.size, head, whole=(0.0, size), behind=(float(head), size - head)
        )
    return _by_columns(distribution, head)


def _by_columns(distribution: Distribution, head: int) -> InverseTable:
    """Selects a segment by the alias method, then a rank by an affine map inside the segment.

    The head and the tail have separate columns, so one table serves draws from all ranks and from
    the tail. The bits of the uniform that the choice of the segment leaves select the rank. These
    are 53 bits minus the logarithm of the number of segments.
    """
    segments = distribution.segments
    first = int(np.searchsorted(segments.starts, head))
    cuts, aliases = alias_table(segments.masses[first:])
    if first:
        head_cuts, head_aliases = alias_table(segments.masses[:first])
        cuts = np.concatenate([head_cuts, cuts])
        aliases = np.concatenate([head_aliases, aliases + first])
    own = np.stack([np.arange(len(cuts)), aliases], axis=1).ravel()
    low = np.stack([np.zeros_like(cuts), cuts], axis=1).ravel()
    width = np.stack([cuts, 1.0 - cuts], axis=1).ravel()
    scale = segments.lengths[own] / np.where(width > 0, width, 1.0)
    mass, columns = float(segments.cdf[first]), float(len(cuts) - first)
    return InverseTable(
        distribution.size,
        head,
        whole=(float(first), columns / (1.0 - mass)),
        behind=(float(first), columns),
        cuts=cuts,
        lines=np.stack([segments.starts[own] - low * scale, scale], axis=1),
        head_columns=first,
        head_mass=mass,
    )


def probs_by_id(distribution: Distribution, domain: IdDomain) -> npt.NDArray[np.float32]:
    """Returns the probability of every id in one draw, float32 `[max_id + 1]`, 0 below `min_id`.

    Args:
      distribution: a distribution over the ids of `domain`.
      domain: the ids.

    Raises:
      PopSamplerError: there are more than a billion ids.

    Examples:
      >>> from merlin_popsampler.core.distributions import Uniform
      >>> probs_by_id(Uniform(2), IdDomain(3, 4)).tolist()
      [0.0, 0.0, 0.0, 0.5, 0.5]
    """
    probs = np.zeros(list_length(domain.cardinality), np.float32)
    for start in range(0, distribution.size, _CHUNK):
        ranks = np.arange(start, min(start + _CHUNK, distribution.size))
        probs[domain.id(ranks)] = distribution.prob(ranks)
    return probs
