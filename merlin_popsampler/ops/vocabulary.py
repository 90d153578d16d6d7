"""Truncates sorted keys to a vocabulary, after any keys of an earlier fit, and writes its files."""

import json
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, Dict, Optional, Sequence, Tuple

import dask
import numpy as np
import pandas as pd
import pyarrow as pa

from merlin_popsampler.contract.metadata import PopularityMetadata
from merlin_popsampler.contract.ranks_file import encode_ids_by_rank
from merlin_popsampler.core.checks import list_length
from merlin_popsampler.core.digests import digest_of
from merlin_popsampler.core.domain import FIRST_OOV_ID, NULL_ID, PADDING_ID, IdDomain
from merlin_popsampler.core.popularity_curve import MAX_STEPS, PopularityCurve
from merlin_popsampler.core.run_lengths import RunLengths
from merlin_popsampler.core.segments import Ints
from merlin_popsampler.store import artifact, counts_file
from merlin_popsampler.store.artifact import Files, FitArtifact, FitFolder
from merlin_popsampler.store.keyed_ids import KeyedIds

from .counting import Counts
from .keys.arrays import hash_buckets
from .keys.columns import KeyGroup
from .keys.index import memory_of
from .keys.kinds import KeyType
from .ordering import Splits, ranked
from .stable_ids import Matched, common_kinds, earlier_keys, match, sizes_of


@dataclass(frozen=True)
class VocabularyOptions:
    """Selects which of the counted keys a vocabulary keeps.

    Args:
      num_buckets: number of ids for unknown keys, `>= 1`.
      max_size: largest number of ids, including reserved ones; 0 for no limit.
      freq_threshold: smallest number of occurrences of a key; 0 for no limit.
      split_out: number of files of the vocabulary, `>= 1`.
      steps: largest number of steps of the popularity curve.
      base: an earlier fit, whose keys come first and are all kept; None without one.
    """

    num_buckets: int = 1
    max_size: int = 0
    freq_threshold: int = 0
    split_out: int = 1
    steps: int = MAX_STEPS
    base: Optional[KeyedIds] = None

    @property
    def min_id(self) -> int:
        """First id that stands for a key."""
        return FIRST_OOV_ID + self.num_buckets

    @property
    def first_new_id(self) -> int:
        """First id for keys that the base does not contain."""
        return self.min_id + (0 if self.base is None else self.base.domain.size)

    @property
    def parts(self) -> int:
        """Number of files of the keys; keys of the base have files of their own."""
        return self.split_out * (1 if self.base is None else 2)


@dataclass(frozen=True)
class Vocabulary(FitArtifact):
    """Describes a fitted vocabulary: its files, its key types and its popularity.

    Args:
      kinds: type of each key column; None for a column without keys.
      is_list: by column of the data, whether its rows are lists; None if all rows are null.
      index_bytes: memory in bytes that an index of its keys takes.
    """

    kinds: Tuple[Optional[KeyType], ...]
    is_list: Dict[str, Optional[bool]]
    index_bytes: int


@dataclass(frozen=True)
class Part:
    """Describes one range of a vocabulary after it was written.

    Args:
      files: files of the keys that the vocabulary keeps.
      unknown: int64 `[num_buckets]`, occurrences of the keys that it does not keep, by bucket of
        unknown keys.
      index_bytes: memory in bytes that an index of the kept keys takes.
    """

    files: Files
    unknown: Ints
    index_bytes: int


def stage(
    buckets: Sequence[Any], group: KeyGroup, options: VocabularyOptions, folder: FitFolder
) -> Any:
    """Builds a delayed `Vocabulary`: sorts and truncates counted keys, and writes its files.

    Args:
      buckets: delayed `Counts` of the group's keys, `options.split_out` of them.
      group: the group of columns that share the vocabulary.
      options: the keys to keep.
      folder: the folder of the fit.
    """
    splits, ranges = ranked(buckets, group)
    earlier, known = [], np.zeros(0, np.int64)
    if options.base is not None:
        splits = dask.delayed(_with_base)(splits, options.base, group)
        matched = [dask.delayed(_matched)(counts, splits, options.base, group) for counts in ranges]
        known = dask.delayed(sizes_of)(matched, options.base)
        ranges = [dask.delayed(attrgetter("new"))(found) for found in matched]
        earlier = [
            dask.delayed(_write_earlier)(
                number, known, splits, options.base, group, options, folder
            )
            for number in range(options.split_out)
        ]
    runs = dask.delayed(list)([dask.delayed(_runs)(counts) for counts in ranges])
    parts = [
        dask.delayed(_write_part)(counts, number, runs, group, options, folder)
        for number, counts in enumerate(ranges)
    ]
    return dask.delayed(_complete)(splits, known, runs, earlier + parts, group, options, folder)


def _with_base(splits: Splits, base: KeyedIds, group: KeyGroup) -> Splits:
    return replace(splits, kinds=common_kinds(splits.kinds, base, group))


def _matched(counts: Counts, splits: Splits, base: KeyedIds, group: KeyGroup) -> Matched:
    return match(counts, splits.kinds, base, group)


def _write_earlier(
    number: int,
    sizes: Ints,
    splits: Splits,
    base: KeyedIds,
    group: KeyGroup,
    options: VocabularyOptions,
    folder: FitFolder,
) -> Part:
    """Writes one of `split_out` parts of the keys of the base, which keep their ids."""
    start, stop = (len(sizes) * part // options.split_out for part in (number, number + 1))
    keys = earlier_keys(base, start, stop, splits.kinds, group)
    kept = Counts(keys, sizes[start:stop], splits.kinds, {})
    files, index_bytes = _write_keys(
        kept, len(kept), options.min_id + start, number, group, options, folder
    )
    return Part(files, np.zeros(options.num_buckets, np.int64), index_bytes)


def _write_part(
    counts: Counts,
    number: int,
    runs: Sequence[RunLengths],
    group: KeyGroup,
    options: VocabularyOptions,
    folder: FitFolder,
) -> Part:
    """Writes the keys of a range that the vocabulary keeps, whose ids follow those before it."""
    first = sum(len(run) for run in runs[:number])
    kept = min(max(_kept(runs, options) - first, 0), len(counts))
    file = options.parts - options.split_out + number
    files, index_bytes = _write_keys(
        counts, kept, options.first_new_id + first, file, group, options, folder
    )
    unknown = _bucket_sizes(counts.take(np.arange(kept, len(counts))), options.num_buckets)
    return Part(files, unknown, index_bytes)


def _write_keys(
    counts: Counts,
    kept: int,
    first_id: int,
    number: int,
    group: KeyGroup,
    options: VocabularyOptions,
    folder: FitFolder,
) -> Tuple[Files, int]:
    """Writes the first `kept` keys as part `number` of the vocabulary.

    Returns the files, and the memory in bytes that an index of these keys takes.
    """
    names = [*group.keys, artifact.size_column(group.name)]
    table = pa.table([*counts.keys, pa.array(counts.sizes)], names).slice(0, kept)
    path = artifact.paths(artifact.UNIQUE, group.name, options.parts)[number]
    repeated = names if len(group.keys) > 1 else names[1:]
    files = artifact.write_part(folder, path, _numbered(table, first_id), repeated)
    return files, memory_of(table.select(group.keys))


def _complete(
    splits: Splits,
    known: Ints,
    runs: Sequence[RunLengths],
    parts: Sequence[Part],
    group: KeyGroup,
    options: VocabularyOptions,
    folder: FitFolder,
) -> Vocabulary:
    """Builds the vocabulary's metadata from the histogram of counts, and writes the other files."""
    sizes = RunLengths.joined(runs).between(0, _kept(runs, options))
    sizes = RunLengths.joined([RunLengths.of(known), sizes])
    nulls = sum(rows.nulls for rows in splits.seen.values())
    reserved = np.concatenate(([0, nulls], np.sum([part.unknown for part in parts], axis=0)))
    counts = RunLengths.joined([RunLengths.of(reserved), sizes])
    files = {
        artifact.UNIQUE: {path: part.files[path] for part in parts for path in part.files},
        artifact.META: artifact.write(folder, artifact.META, group.name, [_meta(reserved, sizes)]),
        artifact.POPULARITY: counts_file.write(folder, group.name, counts, options.parts),
    }
    if options.base is None:
        steps = PopularityCurve.from_runs(sizes.sizes, sizes.lengths)
        metadata = PopularityMetadata.from_steps(steps, options.min_id, "vocabulary", options.steps)
    else:
        metadata, files[artifact.RANKS] = _ranks(sizes.counts(), group, options, folder)
    return Vocabulary(
        folder,
        files,
        replace(metadata, digest=counts_file.counts_digest(counts.blocks())),
        splits.kinds,
        {column: rows.is_list for column, rows in splits.seen.items()},
        sum(part.index_bytes for part in parts),
    )


def _ranks(
    sizes: Ints, group: KeyGroup, options: VocabularyOptions, folder: FitFolder
) -> Tuple[PopularityMetadata, Files]:
    """Writes the file of ids by rank, and returns the metadata and the file.

    Args:
      sizes: int64 `[keys]`, occurrences in the order of ids; 0 for keys that no longer occur.
      group: the group of columns that share the vocabulary.
      options: options of the vocabulary.
      folder: the folder of the fit.
    """
    domain = IdDomain(options.min_id, options.min_id + len(sizes) - 1)
    list_length(domain.cardinality)  # since a sampler of these ids holds a list of them
    seen = np.flatnonzero(sizes)
    positions = seen[np.argsort(-sizes[seen], kind="stable")]
    content = encode_ids_by_rank(domain.id(positions))
    runs = RunLengths.of(sizes[positions])
    exact = PopularityCurve.from_runs(runs.sizes, runs.lengths)
    digest = digest_of(content)
    (path,) = artifact.paths(artifact.RANKS, group.name, 1)
    metadata = PopularityMetadata.from_ranks(exact, domain, options.steps, digest)
    return metadata, artifact.write_content(folder, path, content)


def _runs(counts: Counts) -> RunLengths:
    return RunLengths.of(counts.sizes)


def _kept(runs: Sequence[RunLengths], options: VocabularyOptions) -> int:
    """Returns how many keys the vocabulary keeps, of all ranges together."""
    sizes = RunLengths.joined(runs)
    kept = int(sizes.lengths[sizes.sizes >= options.freq_threshold].sum())
    if not options.max_size:
        return kept
    return min(kept, max(options.max_size - options.first_new_id, 0))


def _bucket_sizes(removed: Counts, num_buckets: int) -> Ints:
    """Counts the occurrences of removed keys by bucket of unknown keys, int64 `[num_buckets]`."""
    sizes = np.zeros(num_buckets, np.int64)
    if num_buckets == 1 or not len(removed):
        sizes[0] = removed.sizes.sum()
    else:
        buckets = hash_buckets([part.to_pandas() for part in removed.keys], num_buckets)
        np.add.at(sizes, buckets.astype(np.int64), removed.sizes)
    return sizes


def _numbered(keys: pa.Table, first: int) -> pa.Table:
    """Adds pandas' metadata of an index from `first` on, the ids of the keys."""
    frame = keys.slice(0, 1).to_pandas()
    described = json.loads(pa.Schema.from_pandas(frame).metadata[b"pandas"])
    described["index_columns"][0].update(start=first, stop=first + keys.num_rows)
    return keys.replace_schema_metadata({b"pandas": json.dumps(described).encode()})


def _meta(reserved: Ints, sizes: RunLengths) -> pd.DataFrame:
    num_oov = len(reserved) - FIRST_OOV_ID
    known = int((sizes.sizes * sizes.lengths).sum())
    meta = {
        "kind": ["pad", "null", "oov", "unique"],
        "offset": [PADDING_ID, NULL_ID, FIRST_OOV_ID, len(reserved)],
        "num_indices": [1, 1, num_oov, len(sizes)],
        "num_observed": [0, reserved[NULL_ID], reserved[FIRST_OOV_ID:].sum(), known],
    }
    return pd.DataFrame(meta)
