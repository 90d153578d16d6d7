"""Compares the popularity of new data with that of old data, for the command `compare`."""

import warnings
from typing import Any, Dict, List, Optional, Union

import numpy as np
import pandas as pd

from merlin_popsampler.core.expected_counts import build_expected_counts
from merlin_popsampler.core.segments import Floats, Ints
from merlin_popsampler.errors import PopSamplerError

from .column_report import ColumnReport
from .inspect import ReportLines, resolve_num_sampled

FACTOR = 2.0
"""Factor above which two expected counts of an item are reported as different."""
_NAMED = 5
"""Number of items with different expected counts that the report names."""
_BANDS = (("top_1_percent", 0.01), ("next_9_percent", 0.1), ("other_90_percent", 1.0))
"""Bands of the old items by popularity: names, and the cumulative share of items at their end."""


def drift(
    old: ColumnReport, new: ColumnReport, num_sampled: Optional[int] = None
) -> Dict[str, Any]:
    """Measures how far popularity has moved from OLD, which a model may still use, to NEW.

    If keys and counts of both are known, items are matched by key. Otherwise the popularity curves
    are compared rank by rank, a warning says so, and the result has only `matched_by` and `tv`.

    Args:
      old: the report of the data that the model was trained on.
      new: the report of newer data.
      num_sampled: number of distinct draws of a batch, whose expected counts are compared; None for
        the default of `resolve_num_sampled` for the smaller catalog.

    Returns:
      Values by name:

      - `matched_by`: "key" or "rank".
      - `tv`: total variation between the shares of interactions, over all items.
      - `rank_correlation`: Spearman's rank correlation of the counts, over the items of both.
      - `new_items`, `vanished_items`, `items_of_both`: numbers of items.
      - `moved_items`: among the items of both, the share whose id has changed.
      - `moved_share`: among NEW's interactions with items of both, the share with items whose id
        has changed; None if no item is in both.
      - `moved_<band>`: `moved_items` of one band of popularity in OLD; None if it has no items.
      - `unknown_share`: among NEW's interactions, the share with new items.
      - `num_sampled`: number of draws of the batch.
      - `off_by_2`: number of items of both whose old and new expected counts differ by more than a
        factor of 2.
      - `most_off`: the items that differ most: key (of a combination of columns, the list of its
        keys), old and new expected count.

    Raises:
      PopSamplerError: keys have different types, a side has no items or no counts, or there are
        more draws than items.
    """
    if old.keys is None or new.keys is None or old.counts is None or new.counts is None:
        counts = [old.item_counts, new.item_counts]
        shares = [np.zeros(max(map(len, counts))) for _ in counts]
        for share, found in zip(shares, counts):
            share[: len(found)] = found / found.sum()
        warnings.warn(
            "The keys of both sides are not at hand, so the curves are compared rank by rank. That "
            "does not detect items that swap their ranks, appear or vanish. Pass saved workflows, "
            "or out_paths of FrequencyCategorify, to match items by key. Ids of your own have no "
            "keys.",
            stacklevel=2,
        )
        return {"matched_by": "rank", "tv": float(np.abs(shares[0] - shares[1]).sum() / 2)}
    sides = _by_key(old, "old"), _by_key(new, "new")
    draws = resolve_num_sampled(num_sampled, min(map(len, sides)))
    matched = _matched(*sides)
    both = matched[matched["old"].notna() & matched["new"].notna()]
    old_share, new_share = (
        matched[side].fillna(0) / matched[side].sum() for side in ("old", "new")
    )
    unknown = matched.loc[matched["old"].isna(), "new"].sum()
    return {
        "matched_by": "key",
        "tv": float((old_share - new_share).abs().sum() / 2),
        "rank_correlation": _spearman(both["old"], both["new"]),
        "new_items": int(matched["old"].isna().sum()),
        "vanished_items": int(matched["new"].isna().sum()),
        "items_of_both": len(both),
        **_moved(old, new, both),
        "unknown_share": float(unknown / matched["new"].sum()),
        "num_sampled": draws,
        **_expected_counts_off(old, new, both, draws),
    }


def rows(found: Dict[str, Any]) -> ReportLines:
    """Returns the lines of the printed table, as names and values."""
    return [
        *(
            (name.replace("_", " "), "-" if value is None else value)
            for name, value in found.items()
            if name != "most_off"
        ),
        *(
            (f"expected {_joined(item['key'])}", f"{item['old']:.6f} before, {item['new']:.6f} now")
            for item in found.get("most_off", [])
        ),
    ]


def _by_key(column: ColumnReport, side: str) -> pd.DataFrame:
    """Returns the keys, counts and ranks of one side's items."""
    frame = pd.DataFrame(column.keys)
    frame.columns = pd.Index([f"key_{i}" for i in range(frame.shape[1])])
    counts = column.item_counts
    return frame.assign(**{side: counts, f"rank_{side}": np.arange(len(counts))})


def _matched(old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Joins both sides by key: one row for each key of either side."""
    keys = [name for name in old.columns if name.startswith("key_")]
    try:
        return old.merge(new, on=keys, how="outer")
    except (ValueError, KeyError) as error:
        raise PopSamplerError(
            f"Expected keys of one type on both sides. Received: {error}. "
            "Compare two fits of the same column."
        ) from None


def _moved(old: ColumnReport, new: ColumnReport, both: pd.DataFrame) -> Dict[str, Any]:
    """Returns shares of the items of both sides whose id has changed."""
    ranks = [both[f"rank_{side}"].to_numpy(np.int64) for side in ("old", "new")]
    ids = [side.ids[rank] for side, rank in zip((old, new), ranks)]
    moved = ids[0] != ids[1]
    ends = [int(np.ceil(share * len(old.ids))) for _, share in _BANDS]
    band = np.searchsorted(ends, ranks[0], side="right")
    weights = both["new"].to_numpy(np.float64)
    return {
        "moved_items": _mean(moved),
        "moved_share": float(weights @ moved / weights.sum()) if len(both) else None,
        **{f"moved_{name}": _mean(moved[band == at]) for at, (name, _) in enumerate(_BANDS)},
    }


def _mean(values: Any) -> Optional[float]:
    """Returns a mean, or None for no values, since JSON has no NaN."""
    return float(np.mean(values)) if len(values) else None


def _expected_counts_off(
    old: ColumnReport, new: ColumnReport, both: pd.DataFrame, num_sampled: int
) -> Dict[str, Any]:
    """Counts the items whose expected counts differ by more than `FACTOR`, and lists the worst."""
    expected_counts = both.filter(like="key_").assign(
        old=_expected_counts(old, both["rank_old"].to_numpy(np.int64), num_sampled),
        new=_expected_counts(new, both["rank_new"].to_numpy(np.int64), num_sampled),
    )
    distance = np.log(expected_counts["new"] / expected_counts["old"]).abs().to_numpy()
    order = np.argsort(-distance, kind="stable")[: int((distance > np.log(FACTOR)).sum())]
    return {
        "off_by_2": len(order),
        "most_off": [
            {"key": _shown(keys), "old": round(before, 6), "new": round(after, 6)}
            for *keys, before, after in expected_counts.iloc[order[:_NAMED]].itertuples(index=False)
        ],
    }


def _shown(keys: List[Any]) -> Union[str, List[str]]:
    """Returns a key as a string, or that of a combination of columns as a list of strings."""
    shown = [str(key) for key in keys]
    return shown if len(shown) > 1 else shown[0]


def _joined(key: Union[str, List[str]]) -> str:
    return key if isinstance(key, str) else " ".join(key)


def _expected_counts(column: ColumnReport, ranks: Ints, num_sampled: int) -> Floats:
    distribution = column.metadata.distribution()
    return build_expected_counts(distribution, num_sampled, unique=True).expected_count(ranks)


def _spearman(old: Any, new: Any) -> float:
    """Returns Spearman's rank correlation, with ties at their mean rank.

    It is 1.0 for fewer than two items, or if all counts of a side are equal.
    """
    ranks = [side.rank().to_numpy() for side in (old, new)]
    if len(old) < 2 or min(np.ptp(rank) for rank in ranks) == 0:
        return 1.0
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])
