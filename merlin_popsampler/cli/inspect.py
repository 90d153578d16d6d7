"""Reports the item ids of a schema, and how well the distributions fit their counts."""

from dataclasses import asdict
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from merlin_popsampler.core.checks import whole_number
from merlin_popsampler.core.domain import FIRST_OOV_ID

from .column_report import ColumnReport

MOST = 1000
"""Default number of draws of a batch from a large catalog."""
SHARE = 10
"""Default ratio of items to draws, at least.

A batch that contains nearly all items has expected counts near 1 for any distribution, so a
comparison would show nothing.
"""

ReportLines = List[Tuple[str, Any]]
HEAD_SHARE = 0.01
"""Share of the items, the most frequent ones, whose share of the interactions is reported."""


def summary(column: ColumnReport) -> Dict[str, Any]:
    """Returns the popularity metadata and the fit of the distributions as plain values.

    Args:
      column: the data of the column.

    Returns:
      The fields of `PopularityMetadata` without `steps`, `items` and `num_steps`. If the order was
      measured, also `interactions`, and `top_share`, the share of the interactions that the most
      frequent 1 % of the items have. If the counts are known, also:

      - `reserved_share`: shares of the interactions of padding, null and unknown keys.
      - `unseen_items`: number of ids in the range with the count 0.
      - `unseen_share`: their share of the draws, since the distribution counts them once.

      If ids keep their numbers in a refit, `gone_items` replaces the last two: the number of items
      that no longer occur, which are never drawn.
    """
    metadata = column.metadata
    result: Dict[str, Any] = {"column": column.name, **asdict(metadata)}
    del result["steps"]
    in_file = metadata.ranks_digest is not None
    if in_file:
        result["gone_items"] = metadata.domain.size - len(column.ids)
    else:
        del result["ranks_digest"], result["ranks_path"]
    result["items"] = metadata.domain.size
    result["num_steps"] = 0 if metadata.steps is None else len(metadata.curve)
    has_distribution = bool(metadata.is_ranked and metadata.rank_domain.size)
    if has_distribution and column.measured:
        counts = column.item_counts
        top = max(1, round(HEAD_SHARE * len(counts)))
        result["interactions"] = int(counts.sum().round())
        result["top_share"] = float(counts[:top].sum() / counts.sum())
    if column.counts is not None:
        reserved = column.counts[: metadata.min_id]
        total = max(1, int(column.counts.sum()))
        result["reserved_share"] = {
            _reserved_name(i): float(count / total) for i, count in enumerate(reserved) if count
        }
        unseen = np.flatnonzero(column.counts[metadata.min_id :] == 0)
        if not in_file:
            result["unseen_items"] = len(unseen)
        if has_distribution and not in_file:
            result["unseen_share"] = float(metadata.distribution().prob(unseen).sum())
    return result


def rows(found: Dict[str, Any]) -> ReportLines:
    """Returns the lines of the printed table, as names and values."""
    lines = {
        "column": found["column"],
        "item ids": f"{found['min_id']} to {found['max_id']} ({found['items']:,} items)",
        "in frequency order": _order(found),
        "evidence": found["evidence"],
        "steps of the curve": found["num_steps"],
    }
    if "interactions" in found:
        lines["interactions"] = f"{found['interactions']:,}"
        lines["top 1 % of the items"] = f"{found['top_share']:.1%} of the interactions"
    for name, distance in sorted((found["fit"] or {}).items()):  # files have different orders
        label = f"{name.replace('_', '-')} fit"
        lines[label] = f"total variation {distance['tv']:.4f}, KL {distance['kl']:.4f} nats"
    for name, share in found.get("reserved_share", {}).items():
        lines[f"share of {name}"] = f"{share:.2%}"
    if "unseen_items" in found:
        lines["ids never counted"] = f"{found['unseen_items']:,}"
    if "gone_items" in found:
        lines["items that are gone"] = f"{found['gone_items']:,}"
    if found.get("unseen_share"):
        lines["ids never counted"] += f" ({found['unseen_share']:.2%} of the draws)"
    return list(lines.items())


def _order(found: Dict[str, Any]) -> str:
    if found["evidence"] == "assumed":
        return "assumed"
    if "ranks_path" in found:
        return f"no, by rank in {found['ranks_path']}"
    return "yes" if found["frequency_ordered"] else "NO"


def _reserved_name(reserved_id: int) -> str:
    names = ("padding", "null")
    return names[reserved_id] if reserved_id < FIRST_OOV_ID else f"unknown {reserved_id}"


def resolve_num_sampled(wanted: Optional[int], size: int) -> int:
    """Returns the number of distinct draws of a batch, from 1 to the number of items.

    Args:
      wanted: the argument of the caller; None for a tenth of the items, at most `MOST`.
      size: number of items.

    Raises:
      PopSamplerError: `wanted` is below 1, or above `size`.
    """
    if wanted is None:
        return max(1, min(MOST, size // SHARE))
    return whole_number("--num-sampled", wanted, 1, "Pass fewer, or leave it out.", size)
