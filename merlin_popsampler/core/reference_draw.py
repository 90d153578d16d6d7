"""Draws one batch of ranks in NumPy: the reference that every framework equals, rank by rank.

Frameworks compute the same ranks by their own operations, on their devices. Tests compare them with
this module by exact equality, so that only this module needs statistical tests. PyTorch in eager
mode on the CPU draws short batches by this module.

References:
  J. Hajek, "Sampling from a Finite Population" (1981), chapter 9: successive sampling.
  P. S. Efraimidis, P. G. Spirakis, "Weighted random sampling with a reservoir", Information
  Processing Letters 97 (2006), section 2: arrival times.
"""

import numpy as np

from .distributions import Distribution
from .draw_plan import PROPOSALS
from .draws import Draws
from .philox import uniforms_ahead
from .segments import Floats, Ints
from .tables import InverseTable

_SLOTS = 8
"""Slots for each rank of a sequence, so that few ranks share one."""


def draw_ranks(draws: Draws, key: int, position: int) -> Ints:
    """Draws the ranks of one batch.

    Args:
      draws: the algorithm and its constants.
      key: key of the stream, an integer of 64 bits, signed or not.
      position: number of the batch in the stream, an integer as `key`.

    Returns:
      int64 `[num_sampled]`, in the order of the draws.

    Examples:
      >>> from merlin_popsampler.core.distributions import LogUniform
      >>> from merlin_popsampler.core.draws import make_draws
      >>> draw_ranks(make_draws(LogUniform(400), 7), 17, 3).tolist()
      [327, 212, 0, 148, 176, 60, 117]
      >>> draw_ranks(make_draws(LogUniform(400), 7, unique=False), 17, 3).tolist()
      [327, 212, 0, 148, 0, 0, 176]
    """
    if draws.by_arrival_times:
        uniforms = uniforms_ahead(key, position, draws.distribution.size)
        return earliest_arrivals(draws.distribution, uniforms, draws.num_sampled)
    plan, num_sampled = draws.plan, draws.num_sampled
    if not draws.distinct:
        return sequence(draws, key, position, num_sampled)
    ranks = distinct(sequence(draws, key, position, plan.few))
    if len(ranks) < num_sampled:  # rare, since `few` draws are nearly always sufficient
        return first_distinct(sequence(draws, key, position, plan.draws), num_sampled)
    return ranks[:num_sampled]


def sequence(draws: Draws, key: int, position: int, num: int) -> Ints:
    """Draws ranks: a batch of independent draws, or ranks whose first distinct ones are a batch.

    Without a head, these are `num` plain draws. With a head, draws are treated as events of a
    Poisson process of rate 1: rank i arrives at an exponential time of rate p_i. The sequence has
    three parts:

    - `plan.tail` draws from the ranks behind the head, which end at a random time;
    - the ranks of the head that have arrived by that time (the first draw replaces those that have
      not, so that the length is fixed);
    - `num` draws from the whole distribution.

    Arrivals are memoryless. So from that random time on, the draws continue as if the earlier ones
    had been made one by one. The set of the first K ids has the same distribution, at a fraction of
    the draws.

    Args:
      draws: the algorithm and its constants.
      key: key of the stream, an integer of 64 bits.
      position: number of the batch in the stream.
      num: number of draws from the whole distribution.

    Returns:
      int64 `[plan.tail + plan.head + num]`, or `[num]` without a head.
    """
    table, plan = draws.table, draws.plan
    if not plan.head:
        return to_ranks(table, uniforms_ahead(key, position, num))
    lengths = [3 * PROPOSALS, plan.tail, plan.head, num]
    uniforms = uniforms_ahead(key, position, sum(lengths))
    for_time, for_tail, for_head, for_rest = np.split(uniforms, np.cumsum(lengths)[:-1])
    tail = to_ranks(table, for_tail, behind=True)
    time = gamma(plan.tail, for_time) / (1.0 - plan.head_mass)
    head = np.arange(plan.head)
    arrived = for_head >= np.exp(-time * draws.distribution.prob(head))
    return np.concatenate([tail, np.where(arrived, head, tail[0]), to_ranks(table, for_rest)])


def earliest_arrivals(distribution: Distribution, uniforms: Floats, num_sampled: int) -> Ints:
    """Draws the ranks that arrive first, rank i at an exponential time of rate p_i.

    Args:
      distribution: the distribution of one draw.
      uniforms: float64 `[distribution.size]` in [0, 1), one for each rank.
      num_sampled: number of ranks, at most `distribution.size`.

    Returns:
      int64 `[num_sampled]`, the earliest first.
    """
    times = -np.log(1.0 - uniforms) / distribution.probs()
    earliest: Ints = np.argsort(times, kind="stable")[:num_sampled]
    return earliest


def first_distinct(ranks: Ints, num_sampled: int) -> Ints:
    """Keeps the first distinct ranks; if too few, the first ranks of the catalog complete them.

    Args:
      ranks: int64 `[n]`.
      num_sampled: number of distinct ranks.

    Returns:
      int64 `[num_sampled]`, in the order of `ranks`.
    """
    return distinct(np.append(ranks, np.arange(num_sampled)))[:num_sampled]


def distinct(ranks: Ints) -> Ints:
    """Keeps the first occurrence of each rank.

    Each rank has a slot of a table. The first rank that falls into a slot takes it, so its later
    occurrences are known. Other ranks of the slot go to the next round.

    Args:
      ranks: int64 `[n]`, at least 0.

    Returns:
      int64 `[n or fewer]`, in the order of `ranks`.
    """
    is_first = np.zeros(len(ranks), bool)
    table = np.empty(1 << (_SLOTS * len(ranks)).bit_length(), np.int64)
    indices = np.arange(len(ranks))
    while len(indices):
        values = ranks[indices]
        slots = values & (len(table) - 1)
        table[slots[::-1]] = indices[::-1]  # of several indices of a slot, the last one remains
        owners = table[slots]
        is_first[owners] = True
        indices = indices[ranks[owners] != values]
    first: Ints = ranks[is_first]
    return first


def gamma(shape: int, uniforms: Floats) -> float:
    """Draws a gamma variate, the time of the `shape`-th arrival at rate 1, by rejection sampling.

    Args:
      shape: number of arrivals.
      uniforms: float64 `[3 * PROPOSALS]`; the first proposal that is accepted is the result.

    References:
      G. Marsaglia, W. W. Tsang, "A simple method for generating gamma variables", ACM Transactions
      on Mathematical Software 26 (2000).
    """
    radius, angle, test = np.split(uniforms, 3)
    normal = np.sqrt(-2.0 * np.log(1.0 - radius)) * np.cos(2.0 * np.pi * angle)
    scale = shape - 1.0 / 3.0
    root = 1.0 + normal / np.sqrt(9.0 * scale)
    cube, log_cube = root * root * root, 3.0 * np.log(np.maximum(root, 1e-300))
    accepted = np.log(1.0 - test) < 0.5 * normal * normal + scale * (1.0 - cube + log_cube)
    return float(scale * cube[np.argmax(accepted)])


def to_ranks(table: InverseTable, uniforms: Floats, behind: bool = False) -> Ints:
    """Maps uniforms to ranks by a table.

    Args:
      table: the constants of the map.
      uniforms: float64 `[n]` in [0, 1).
      behind: whether to draw only from the ranks behind the head, instead of from all.

    Returns:
      int64 `[n]`, in `[0, table.size)`.
    """
    offset, scale = table.behind if behind else table.whole
    if table.shift is not None:
        real = np.exp(uniforms * scale) * offset - table.shift
    elif table.cuts is None or table.lines is None:
        real = offset + uniforms * scale
    else:
        column = _columns(table, uniforms, behind)
        index = np.minimum(np.floor(column), len(table.cuts) - 1).astype(np.int64)
        inside = column - index
        side = 2 * index + (inside >= table.cuts[index])
        real = table.lines[side, 0] + inside * table.lines[side, 1]
        real = np.maximum(real, table.head if behind else 0)
    ranks: Ints = np.minimum(np.floor(real), table.size - 1).astype(np.int64)
    return ranks


def _columns(table: InverseTable, uniforms: Floats, behind: bool) -> Floats:
    offset, scale = table.behind if behind else table.whole
    if behind or not table.head_columns:
        return offset + uniforms * scale
    in_head = uniforms * table.head_columns / table.head_mass
    in_head = np.minimum(in_head, np.nextafter(table.head_columns, 0))
    after = offset + (uniforms - table.head_mass) * scale
    return np.asarray(np.where(uniforms < table.head_mass, in_head, after))
