"""Draws a batch of distinct ids, with expected counts, in one Triton kernel.

It computes what `FirstDistinct` and `ExpectedCountsOnDevice` compute for a plan without a head, by
the numbers that `KernelDraws` lays out. Every index is bounded and every loop ends, even if
numbers are wrong. So a wrong result can be compared with the right one, and cannot end the process.
"""

import triton
import triton.language as tl

from merlin_popsampler.core.expected_counts import CELL_SHIFT

_SHIFT = tl.constexpr(CELL_SHIFT)  # Triton reads no other globals


@triton.jit(do_not_specialize=["num_true"])
def draw_batch(
    key,
    position,
    true_ids,
    num_true,
    numbers,
    ids_by_rank,
    ranks_by_id,
    scratch,
    ids,
    counts,
    width: tl.constexpr,
    inverse: tl.constexpr,
    by_segment: tl.constexpr,
    is_mapped: tl.constexpr,
):
    """Draws a batch in program 0. Each other program counts `width` positives.

    Args:
      key: int64 scalar.
      position: int64 scalar.
      true_ids: int64 `[num_true]`, the positives.
      num_true: number of positives.
      numbers: float64, see `KernelDraws`.
      ids_by_rank: int32 `[items]`, read if `is_mapped`.
      ranks_by_id: int32 `[max_id + 1]`, read if `is_mapped`.
      scratch: int64 `[2 * width]`.
      ids: int64 `[num_sampled]`, the result.
      counts: float32 `[num_sampled + num_true]`, the expected counts of draws, then of positives.
      width: a power of 2, at least the number of draws.
      inverse: "exponential", "affine" or "columns", as in `InverseTable`.
      by_segment: whether expected counts are looked up by segment, and otherwise by cell.
      is_mapped: whether the ids have an order of their own.
    """
    lanes = tl.arange(0, width)
    num_sampled = tl.load(numbers).to(tl.int64)
    last = tl.load(numbers + 2).to(tl.int64) - 1
    if tl.program_id(0) == 0:
        num_draws = tl.load(numbers + 1).to(tl.int64)
        ranks = _ranks(_uniforms(key, position, lanes), numbers, last, inverse)
        # Equal ranks become neighbors, in the order of their draws.
        packed = tl.sort(tl.where(lanes < num_draws, ranks, last + 1) * width + lanes)
        tl.store(scratch + lanes, packed)
        tl.debug_barrier()
        before = tl.load(scratch + tl.maximum(lanes - 1, 0)) // width
        is_first = ((lanes == 0) | (packed // width != before)) & (packed // width <= last)
        # Back to the order of the draws.
        tl.store(scratch + width + packed % width, is_first.to(tl.int64))
        tl.debug_barrier()
        is_first = tl.load(scratch + width + lanes)
        place = tl.cumsum(is_first, 0) - 1
        kept = (is_first > 0) & (place < num_sampled)
        tl.store(ids + place, _ids(ranks, numbers, ids_by_rank, is_mapped), mask=kept)
        tl.store(counts + place, _counts(ranks, numbers, by_segment), mask=kept)
        # The first ranks complete a batch with too few, which has a probability below exp(-36).
        found = tl.sum(is_first, 0)
        rank = found * 0
        while (found < num_sampled) & (rank < num_sampled):
            is_new = tl.sum(is_first * (ranks == rank), 0) == 0
            tl.store(ids + found, _ids(rank, numbers, ids_by_rank, is_mapped), mask=is_new)
            tl.store(counts + found, _counts(rank, numbers, by_segment), mask=is_new)
            found += is_new.to(tl.int64)
            rank += 1
    else:
        index = (tl.program_id(0) - 1).to(tl.int64) * width + lanes
        own = index < num_true
        ranks = tl.load(true_ids + index, mask=own, other=0)
        if is_mapped:
            has_rank = (ranks >= 0) & (ranks < tl.load(numbers + 4).to(tl.int64))
            ranks = tl.load(ranks_by_id + ranks, mask=has_rank, other=-1).to(tl.int64)
        else:
            ranks -= tl.load(numbers + 3).to(tl.int64)
        is_item = (ranks >= 0) & (ranks <= last)
        found_counts = _counts(tl.where(is_item, ranks, 0), numbers, by_segment)
        tl.store(counts + num_sampled + index, tl.where(is_item, found_counts, 1.0), mask=own)


@triton.jit
def _uniforms(key, position, lanes):
    """Computes `core.philox.random_uniforms`, one for each lane."""
    number, zeros = tl.load(position), (lanes * 0).to(tl.uint32)
    c0, c1, c2, c3 = tl.philox(
        tl.load(key),
        (lanes // 2).to(tl.uint32),
        zeros,
        zeros + number.to(tl.uint32),
        zeros + (number >> 32).to(tl.uint32),
    )
    is_second = lanes % 2 == 1  # a block gives two numbers
    low = tl.where(is_second, c2, c0).to(tl.int64)
    high = (tl.where(is_second, c3, c1) & 0x1FFFFF).to(tl.int64)
    return (low | (high << 32)).to(tl.float64) * 1.1102230246251565e-16  # 2**-53


@triton.jit
def _ranks(uniforms, numbers, last, inverse: tl.constexpr):
    """Maps uniforms to ranks, as `InverseCDF` does without a head."""
    offset, scale = tl.load(numbers + 5), tl.load(numbers + 6)
    if inverse == "exponential":
        real = tl.exp(uniforms * scale) * offset - tl.load(numbers + 7)
    else:
        real = uniforms * scale + offset
    if inverse == "columns":
        num_columns, tables = tl.load(numbers + 8).to(tl.int64), numbers + 12
        column = tl.minimum(real.to(tl.int64), num_columns - 1)
        inside = real - column.to(tl.float64)
        side = 2 * column + (inside >= tl.load(tables + column)).to(tl.int64)
        line = tables + num_columns + 2 * side
        real = tl.load(line) + inside * tl.load(line + 1)
    return tl.minimum(tl.maximum(real.to(tl.int64), 0), last)


@triton.jit
def _ids(ranks, numbers, ids_by_rank, is_mapped: tl.constexpr):
    if is_mapped:
        return tl.load(ids_by_rank + ranks).to(tl.int64)
    else:
        return ranks + tl.load(numbers + 3).to(tl.int64)


@triton.jit
def _counts(ranks, numbers, by_segment: tl.constexpr):
    """Looks expected counts up, as `ExpectedCounts` does, in float64."""
    rows = numbers + 12 + tl.load(numbers + 9).to(tl.int64)
    num_rows = tl.load(numbers + 10).to(tl.int64)
    if by_segment:
        row, step = ranks * 0, tl.full([], 1, tl.int64)
        while step < num_rows:
            step *= 2
        while step > 1:  # a binary search for the last segment that starts at or before the rank
            step = step // 2
            after = tl.minimum(row + step, num_rows - 1)
            row = tl.where(tl.load(rows + num_rows + after) <= ranks.to(tl.float64), after, row)
        return tl.load(rows + row).to(tl.float32)
    else:
        x = ranks.to(tl.float64) + 1.0
        first = tl.load(numbers + 11).to(tl.int64, bitcast=True)
        cell = (x.to(tl.int64, bitcast=True) - first) >> _SHIFT
        row = rows + 2 * tl.minimum(tl.maximum(cell, 0), num_rows - 1)
        return (tl.load(row) + tl.load(row + 1) / x).to(tl.float32)
