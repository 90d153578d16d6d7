"""Plots measured popularity against the distributions, and the expected counts that follow."""

import io
import os
from typing import Any, List, Optional, Tuple

import numpy as np

from merlin_popsampler.core.distributions import Distribution, Empirical, LogUniform
from merlin_popsampler.core.expected_counts import build_expected_counts, inclusion_probability
from merlin_popsampler.core.popularity_curve import PopularityCurve
from merlin_popsampler.errors import PopSamplerError
from merlin_popsampler.store import filesystem

from .column_report import ColumnReport
from .inspect import resolve_num_sampled
from .terminal import printable

Distributions = List[Tuple[str, Distribution]]
_COLOURS = ("#d95f02", "#1b9e77")
_POINTS = 400
_LONGEST = 40
"""Largest number of characters of a column's name in a title."""


def plot(column: ColumnReport, path: str, num_sampled: Optional[int] = None) -> None:
    """Writes the picture of a column's popularity to a file.

    Args:
      column: a column whose ranks are known, with at least one item.
      path: path of the picture, on any file system; its ending selects the format.
      num_sampled: number of draws of the batch whose expected counts are shown; None for the
        default of `resolve_num_sampled`.

    Raises:
      PopSamplerError: there are no items, ids are out of order, there are more draws than items, or
        the format or the folder cannot be written.
    """
    figure = drawn(column, num_sampled)
    content = io.BytesIO()
    try:
        figure.savefig(content, dpi=130, format=os.path.splitext(path)[1][1:] or "no ending")
        filesystem.write_bytes(path, content.getvalue())
    except Exception as error:  # each file system raises its own
        raise PopSamplerError(
            f"Expected a picture's path, such as out.png. Received: {path!r} ({error}). Pass a "
            "path that can be written, with the ending of a format of Matplotlib."
        ) from error


def drawn(column: ColumnReport, num_sampled: Optional[int] = None) -> Any:
    """Draws the figure: frequency by rank on the left, expected counts on the right, both log-log.

    If the order is assumed, it shows only the distributions, without data.

    Args:
      column: see `plot`.
      num_sampled: see `plot`.

    Returns:
      A Matplotlib figure.
    """
    from matplotlib.figure import Figure  # not pyplot, which looks for a display

    distributions = _distributions_of(column)
    size = column.metadata.rank_domain.size
    num_sampled = resolve_num_sampled(num_sampled, size)
    ranks = np.unique(np.geomspace(1, size, _POINTS).round().astype(np.int64)) - 1
    figure = Figure(figsize=(11, 4.4))
    axes = figure.subplots(1, 2)
    if column.measured:
        _draw_data(axes, column, ranks, num_sampled)
    for (name, distribution), colour in zip(distributions, _COLOURS):
        expected_counts = build_expected_counts(
            distribution, num_sampled, unique=True
        ).expected_count(ranks)
        for axis, values in zip(axes, (distribution.prob(ranks), expected_counts)):
            axis.plot(ranks + 1, values, color=colour, lw=1.6, label=name)
    shared = "the interactions" if column.measured else "the draws, by an assumed order"
    axes[0].set(ylabel=f"share of {shared}")
    name = printable(column.name)
    name = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 3]}..."
    # A name from the data is not a formula, though it may hold dollars.
    axes[0].set_title(f"{name}: {size:,} items", parse_math=False)
    axes[1].set(ylabel="expected count", title=f"a batch of {num_sampled:,} distinct draws")
    for axis in axes:
        axis.set(xscale="log", yscale="log", xlabel="rank (1 = most frequent)")
        axis.grid(alpha=0.25, which="major")
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False)
    figure.tight_layout()
    return figure


def _distributions_of(column: ColumnReport) -> Distributions:
    """Returns the distributions that the picture shows."""
    distributions: Distributions = [("log-uniform", LogUniform(column.metadata.rank_domain.size))]
    measured = column.metadata.distribution()
    if isinstance(measured, Empirical):
        distributions.append((f"{len(measured.steps)} steps", measured))
    return distributions


def _draw_data(axes: Any, column: ColumnReport, ranks: Any, num_sampled: int) -> None:
    """Draws measured shares, and the inclusion probabilities that follow from the counts."""
    counts = column.item_counts
    exact = Empirical(
        PopularityCurve.from_counts(counts.round().astype(np.int64), max_steps=len(counts))
    )
    wanted = inclusion_probability(exact, num_sampled, exact.prob(ranks))
    for axis, values in zip(axes, (counts[ranks] / counts.sum(), wanted)):
        axis.plot(ranks + 1, values, color="0.25", lw=3.5, alpha=0.5, label="data")
