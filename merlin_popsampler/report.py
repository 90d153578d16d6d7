"""What a schema and its counts say, and how far two of them are apart."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
import pandas as pd
from merlin.schema import Schema
from merlin.schema.io.tensorflow_metadata import TensorflowMetadata

from . import files
from .domain import FIRST_OOV_ID
from .errors import PopSamplerError, SchemaError
from .files import Ints
from .inclusion import price_table
from .laws import Empirical, Floats, Law, LogUniform
from .metadata import PopularityMetadata
from .schema import column_popularity, find_item_column

HEAD_SHARE = 0.01
"""The top of the catalog whose share of the interactions is reported."""
FACTOR = 2.0
"""Expected counts that differ by more than this factor are called off."""


@dataclass(frozen=True)
class Subject:
    """What a report is about: a column's contract, and its counts and keys where they are known.

    Args:
      name: of the column.
      metadata: its contract.
      counts: int64 `[max_id + 1]`, of the ids from 0 on.
      keys: data frame of the keys of the ids from `min_id` on.
    """

    name: str
    metadata: PopularityMetadata
    counts: Optional[Ints] = None
    keys: Optional[pd.DataFrame] = None

    @property
    def item_counts(self) -> Floats:
        """Counts of the items in order, float64 `[size]`; the curve's where no file was given."""
        domain = self.metadata.domain
        if self.counts is not None:
            return np.maximum(self.counts[domain.min_id :], 1).astype(np.float64)
        law = self.metadata.law()
        total = law.steps.total if isinstance(law, Empirical) else 1
        return law.probs() * total


def read_schema(path: str) -> Schema:
    """The schema of a data set's folder, a schema file, or a saved workflow's folder.

    Raises:
      SchemaError: nothing of these is there.
    """
    place = Path(path)
    candidates = [place, place / "schema.pbtxt", place / ".merlin" / "schema.json"]
    for candidate in candidates:
        if candidate.is_file() and candidate.suffix == ".pbtxt":
            metadata = TensorflowMetadata.from_proto_text_file(
                str(candidate.parent), candidate.name
            )
            return metadata.to_merlin_schema()
        if candidate.is_file() and candidate.suffix == ".json":
            text = candidate.read_text(encoding="utf-8")
            return TensorflowMetadata.from_json(text).to_merlin_schema()
    if (place / "workflow.pkl").is_file():
        import nvtabular

        return nvtabular.Workflow.load(str(place)).output_schema
    raise SchemaError(
        "Expected a data set's folder, a schema.pbtxt or schema.json, or a saved workflow. "
        f"Received: {path}, which is none of these. Pass the folder that to_parquet or "
        "Workflow.save wrote."
    )


def read_subject(
    path: str, column: Optional[str] = None, counts_path: Optional[str] = None
) -> Subject:
    """A schema's item column, with counts and keys that lie beside a saved workflow.

    Raises:
      SchemaError: no schema or no such column.
      PopSamplerError: counts that do not belong to the schema.
    """
    found = find_item_column(read_schema(path), column)
    metadata = column_popularity(found)
    storage = (found.properties.get("domain") or {}).get("name") or found.name
    counts_path = counts_path or _beside(path, "popularity", storage)
    counts = None if counts_path is None else files.read_counts(counts_path)
    if counts is not None:
        _check_counts(found.name, metadata, counts, str(counts_path))
    keys_path = _beside(path, "unique", storage)
    keys = None if keys_path is None else _read_keys(keys_path, storage)
    return Subject(found.name, metadata, counts, keys)


def summary(subject: Subject) -> Dict[str, Any]:
    """The contract and the fit as plain values.

    Shares are of interactions: `top_share` that of the most frequent 1 % of the items, and where
    the counts are known `reserved_share` that of padding, null and unknown keys by id.
    """
    metadata = subject.metadata
    result: Dict[str, Any] = {"column": subject.name, **asdict(metadata)}
    steps = result.pop("steps")
    result["items"] = metadata.domain.size
    result["num_steps"] = len(steps.split(",")) if steps else 0
    if (
        metadata.frequency_ordered
        and metadata.domain.size
        and (steps or subject.counts is not None)
    ):
        counts = subject.item_counts
        top = max(1, round(HEAD_SHARE * len(counts)))
        result["interactions"] = int(counts.sum().round())
        result["top_share"] = float(counts[:top].sum() / counts.sum())
    if subject.counts is not None:
        reserved = subject.counts[: metadata.min_id]
        total = max(1, int(subject.counts.sum()))
        result["reserved_share"] = {
            _reserved_name(i): float(count / total) for i, count in enumerate(reserved) if count
        }
    return result


def drift(old: Subject, new: Subject, num_sampled: int = 1000) -> Dict[str, Any]:
    """How far the popularity of NEW has moved from OLD, which a model may still be trained on.

    With keys on both sides, items are matched by key: `rank_correlation` (Spearman, over the items
    of both), `tv` (over the items of either), `new_items`, `vanished_items`, `unknown_share` (of
    NEW's item interactions, those of items that OLD does not know) and `off_by_2` (items of both
    whose expected count in a batch of `num_sampled` draws by OLD's law is off by more than a factor
    2 from that by NEW's). Without keys, the curves are compared rank by rank: `tv` alone.
    """
    if old.keys is None or new.keys is None or old.counts is None or new.counts is None:
        size = max(old.metadata.domain.size, new.metadata.domain.size)
        shares = [np.zeros(size), np.zeros(size)]
        for share, subject in zip(shares, (old, new)):
            counts = subject.item_counts
            share[: len(counts)] = counts / counts.sum()
        return {"matched_by": "rank", "tv": float(np.abs(shares[0] - shares[1]).sum() / 2)}
    matched = _matched(old, new)
    both = matched[matched["old"].notna() & matched["new"].notna()]
    old_share, new_share = (
        matched[side].fillna(0) / matched[side].sum() for side in ("old", "new")
    )
    unknown = matched.loc[matched["old"].isna(), "new"].sum()
    prices = [
        _expected_counts(subject, both[f"rank_{side}"].to_numpy(np.int64), num_sampled)
        for side, subject in (("old", old), ("new", new))
    ]
    ratio = prices[0] / prices[1]
    return {
        "matched_by": "key",
        "tv": float((old_share - new_share).abs().sum() / 2),
        "rank_correlation": _spearman(both["old"], both["new"]),
        "new_items": int(matched["old"].isna().sum()),
        "vanished_items": int(matched["new"].isna().sum()),
        "unknown_share": float(unknown / matched["new"].sum()),
        "off_by_2": int(((ratio > FACTOR) | (ratio < 1 / FACTOR)).sum()),
        "items_of_both": len(both),
    }


def laws_of(subject: Subject) -> List[Tuple[str, Law]]:
    """The laws that a picture compares with the data."""
    laws: List[Tuple[str, Law]] = [("log-uniform", LogUniform(subject.metadata.domain.size))]
    measured = subject.metadata.law()
    if isinstance(measured, Empirical):
        laws.append((f"{len(measured.steps)} steps", measured))
    return laws


def _matched(old: Subject, new: Subject) -> pd.DataFrame:
    """Counts and ranks of both sides, one row for each key of either."""
    sides = []
    for side, subject in (("old", old), ("new", new)):
        if subject.keys is None:
            raise PopSamplerError("Expected keys on both sides. Received: a schema alone.")
        frame = subject.keys.copy()
        frame.columns = [f"key_{i}" for i in range(frame.shape[1])]
        frame[side] = subject.item_counts
        frame[f"rank_{side}"] = np.arange(len(frame))
        sides.append(frame)
    keys = [name for name in sides[0].columns if name.startswith("key_")]
    try:
        return sides[0].merge(sides[1], on=keys, how="outer")
    except (ValueError, KeyError) as error:
        raise PopSamplerError(
            f"Expected keys of one kind on both sides. Received: {error}. "
            "Compare two fits of the same column."
        ) from None


def _expected_counts(subject: Subject, ranks: Ints, num_sampled: int) -> Floats:
    law = subject.metadata.law()
    return price_table(law, min(num_sampled, law.size), unique=True).expected_count(ranks)


def _spearman(old: Any, new: Any) -> float:
    """Rank correlation, ties at their mean rank; 1 where there is nothing to correlate."""
    ranks = [side.rank().to_numpy() for side in (old, new)]
    if len(old) < 2 or min(np.ptp(rank) for rank in ranks) == 0:
        return 1.0
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _beside(path: str, kind: str, storage: str) -> Optional[str]:
    """A file of a saved workflow, or of an operator's out_path, if it is there."""
    for folder in ("categories", "frequency_order"):
        candidate = os.path.join(path, folder, f"{kind}.{storage}.parquet")
        if os.path.exists(candidate):
            return candidate
    return None


def _read_keys(path: str, storage: str) -> pd.DataFrame:
    frame = files.read(path).reset_index(drop=True)
    return frame.drop(columns=[name for name in frame.columns if name == f"{storage}_size"])


def _check_counts(name: str, metadata: PopularityMetadata, counts: Ints, path: str) -> None:
    expected = metadata.domain.cardinality
    digest = files.counts_digest(counts)
    if len(counts) != expected or metadata.digest not in (None, digest):
        raise PopSamplerError(
            f"Column {name!r}: expected the counts that its schema was made from ({expected} ids, "
            f"digest {metadata.digest}). Received: {path} with {len(counts)} ids, digest {digest}. "
            "Pass the popularity.<column>.parquet of the same fit."
        )


def _reserved_name(reserved_id: int) -> str:
    names = ("padding", "null")
    return names[reserved_id] if reserved_id < FIRST_OOV_ID else f"unknown {reserved_id}"
