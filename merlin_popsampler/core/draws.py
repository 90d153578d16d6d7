"""Describes a sampler's batches of draws: which algorithm draws them, and by which constants.

A sampler builds the description once. `core.reference_draw` and each framework interpret it.
"""

from dataclasses import dataclass
from typing import Any

from .checks import batch_size
from .distributions import Distribution
from .draw_plan import DrawPlan, plan_draws
from .tables import InverseTable, inverse_table

_LARGE_SHARE = 0.75
"""Share of the catalog above which arrival times of all ranks are cheaper than draws."""


@dataclass(frozen=True, eq=False)
class Draws:
    """Holds the algorithm and the constants by which random numbers become batches of ranks.

    The plan describes a sequence of ranks. Independent draws are this sequence. Distinct draws are
    its first `num_sampled` distinct ranks, or, `by_arrival_times`, the ranks that arrive first.
    Both have the distribution of successive sampling.

    Attributes:
      distribution: the distribution of one draw.
      num_sampled: number of ranks in a batch.
      plan: lengths of the parts of the sequence.
      table: maps uniforms to ranks, either to all ranks or only to those behind the plan's head.
      distinct: whether only the first occurrence of a rank counts.
      by_arrival_times: whether the arrival times of all ranks are drawn instead of the sequence.

    Examples:
      >>> from merlin_popsampler.core.distributions import LogUniform
      >>> draws = make_draws(LogUniform(1000), 100)
      >>> draws.plan.few, draws.by_arrival_times
      (213, False)
    """

    distribution: Distribution
    num_sampled: int
    plan: DrawPlan
    table: InverseTable
    distinct: bool
    by_arrival_times: bool

    @property
    def length(self) -> int:
        """Number of random numbers of a batch, without the few of the gamma variate for a head."""
        return self.distribution.size if self.by_arrival_times else self.plan.length


def make_draws(distribution: Distribution, num_sampled: Any, unique: bool = True) -> Draws:
    """Selects the algorithm that takes the fewest random numbers, and builds its constants.

    Args:
      distribution: the distribution of one draw.
      num_sampled: number of ranks in a batch, at least 1; at most `distribution.size` if `unique`.
      unique: whether the ranks of a batch are distinct (successive sampling) or independent.

    Raises:
      PopSamplerError: `num_sampled` is not a whole number in this range, or takes too many random
        numbers.

    Examples:
      >>> from merlin_popsampler.core.distributions import LogUniform
      >>> make_draws(LogUniform(1000), 100, unique=False).plan.length
      100
      >>> make_draws(LogUniform(100), 90).by_arrival_times
      True
    """
    num_sampled = batch_size("max_num_samples", num_sampled, distribution.size, unique)
    distinct = bool(unique) and num_sampled > 1
    if distinct:
        plan = plan_draws(distribution, num_sampled)
    else:
        plan = DrawPlan(0, 0.0, 0, num_sampled, num_sampled)
    table = inverse_table(distribution, plan.head)
    by_arrival_times = distinct and plan.length > _LARGE_SHARE * distribution.size
    return Draws(distribution, num_sampled, plan, table, distinct, by_arrival_times)
