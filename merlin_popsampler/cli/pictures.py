"""The picture of a popularity: data against laws, and what a batch of draws makes of them."""

from typing import Any, List, Tuple

import numpy as np

from merlin_popsampler.core.laws import Empirical, Law, LogUniform
from merlin_popsampler.core.prices import inclusion_probability, price_table
from merlin_popsampler.core.steps import Steps
from merlin_popsampler.errors import PopSamplerError
from merlin_popsampler.ops.fitted_column import FittedColumn

Laws = List[Tuple[str, Law]]
_COLOURS = ("#d95f02", "#1b9e77")
_POINTS = 400


def plot(column: FittedColumn, path: str, num_sampled: int = 1000) -> None:
    """Writes the picture of `drawn`.

    Args:
      column: a column in frequency order, of at least one item.
      path: of the picture; its ending names the format.
      num_sampled: draws of the batch whose expected counts are shown.

    Raises:
      PopSamplerError: no item, ids out of order, an ending or a place that cannot be written.
    """
    figure = drawn(column, num_sampled)
    try:
        figure.savefig(path, dpi=130)
    except (ValueError, OSError) as error:
        raise PopSamplerError(
            f"Expected a picture's path, such as out.png. Received: {path!r} ({error})."
        ) from error


def drawn(column: FittedColumn, num_sampled: int) -> Any:
    """The figure: rank and frequency on the left, expected counts on the right, on log-log axes."""
    from matplotlib.figure import Figure  # and not pyplot, which wants to know of a screen

    laws = _laws_of(column)
    counts = column.item_counts
    ranks = np.unique(np.geomspace(1, len(counts), _POINTS).round().astype(np.int64)) - 1
    figure = Figure(figsize=(11, 4.4))
    axes = figure.subplots(1, 2)
    _frequencies(axes[0], column, ranks, laws)
    _expected_counts(axes[1], column, ranks, laws, min(num_sampled, len(counts)))
    for axis in axes:
        axis.set(xscale="log", yscale="log", xlabel="rank (1 = most frequent)")
        axis.grid(alpha=0.25, which="major")
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False)
    figure.tight_layout()
    return figure


def _laws_of(column: FittedColumn) -> Laws:
    """The laws that the picture compares with the data."""
    laws: Laws = [("log-uniform", LogUniform(column.metadata.domain.size))]
    measured = column.metadata.law()
    if isinstance(measured, Empirical):
        laws.append((f"{len(measured.steps)} steps", measured))
    return laws


def _frequencies(axis: Any, column: FittedColumn, ranks: Any, laws: Laws) -> None:
    counts = column.item_counts
    axis.plot(
        ranks + 1, counts[ranks] / counts.sum(), color="0.25", lw=3.5, alpha=0.5, label="data"
    )
    for (name, law), colour in zip(laws, _COLOURS):
        axis.plot(ranks + 1, law.prob(ranks), color=colour, lw=1.6, label=name)
    axis.set(ylabel="share of the interactions", title=f"{column.name}: {len(counts):,} items")


def _expected_counts(
    axis: Any, column: FittedColumn, ranks: Any, laws: Laws, num_sampled: int
) -> None:
    """Inclusion probabilities under each law, and under the counts themselves."""
    counts = column.item_counts
    exact = Empirical(Steps.from_counts(counts.round().astype(np.int64), max_steps=len(counts)))
    wanted = inclusion_probability(exact, num_sampled, exact.prob(ranks))
    axis.plot(ranks + 1, wanted, color="0.25", lw=3.5, alpha=0.5, label="data")
    for (name, law), colour in zip(laws, _COLOURS):
        prices = price_table(law, num_sampled, unique=True).expected_count(ranks)
        axis.plot(ranks + 1, prices, color=colour, lw=1.6, label=name)
    axis.set(ylabel="expected count", title=f"a batch of {num_sampled:,} distinct draws")
