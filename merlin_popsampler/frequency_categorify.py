"""Categorify with ids that are sorted by decreasing frequency, and a schema that says so."""

import uuid
from typing import Any, Dict, List, Optional, Sequence, Tuple

import dask
import numpy as np

from merlin.schema import ColumnSchema, Schema

from . import vocabulary as files
from .counting import Counts, count_keys
from .domain import FIRST_OOV_ID
from .encoding import encode
from .errors import PopSamplerError
from .keys import KeyGroup
from .nvtabular_layout import Categorify, embedding_width
from .options import DEFAULTS, PerColumn, option_of
from .ownership import claim, in_several_workflows, other_owner
from .schema import with_popularity
from .vocabulary import Layout, Vocabulary

class FrequencyCategorify(Categorify):
    """A drop-in `nvtabular.ops.Categorify` whose ids are sorted by (count desc, key asc).

    The same data gets the same ids on any processor, in any partitioning, with any `split_out`.
    `max_size` and `freq_threshold` truncate the sorted keys. The schema of each encoded column
    carries its `PopularityMetadata`, and `popularity.<column>.parquet` (one row for each id from 0
    to `max_id`, reserved ids with what they really stand for) lies beside the vocabulary.

    Ids: 0 padding, 1 null, `[2, 2 + num_buckets)` unknown keys, then the keys. Null list elements
    are nulls, null lists are empty lists.

    Args:
      *args, **kwargs: Categorify's. `single_table` and `vocabs` are refused, since they take the
        order of the ids from elsewhere; a column that a per-column option does not name has the
        option's default. The vocabulary is cached where the data are, whatever `cat_cache` says.
      steps: most steps of the popularity curve in the schema, `>= 1`.

    Raises:
      PopSamplerError: arguments that contradict frequency order, or a `dtype` that is no integer.
        From `fit`: a `dtype` too small for the ids, keys that are ambiguous, or a vocabulary file
        that belongs to another operator; files of an earlier fit are untouched then.

    Example:
      `["item_id"] >> FrequencyCategorify(freq_threshold=5) >> TagAsItemID()`
    """

    def __init__(self, *args: Any, steps: int = 256, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.single_table:
            raise PopSamplerError(
                "Expected single_table=False: one table for several columns shifts the ids of all "
                "but the first away from their frequency order. Received: single_table=True. "
                "Group the columns instead, [['a', 'b']], for one joint vocabulary."
            )
        if self.vocabs:
            raise PopSamplerError(
                "Expected no vocabs: a given vocabulary brings an order of its own and no counts. "
                f"Received: vocabs for {sorted(self.vocabs)}. Encode with Categorify(vocabs=...) "
                ">> FrequencyOrder(on_violation='remap') instead."
            )
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise PopSamplerError(
                f"Expected steps to be a whole number >= 1. Received: {steps!r}. "
                "Leave it at its default, 256."
            )
        if np.dtype(self.output_dtype).kind not in "iu":
            raise PopSamplerError(
                f"Expected an integer dtype for ids. Received: {self.dtype!r}. "
                "Pass 'int32' or 'int64', or leave it out."
            )
        self.steps = steps
        self.fitted_vocabularies: Dict[str, Vocabulary] = {}
        self._earlier: Dict[str, Vocabulary] = {}
        self._pending: List[str] = []
        self._staging: Optional[str] = None
        for option, default in DEFAULTS.items():
            if isinstance(getattr(self, option), dict):
                setattr(self, option, PerColumn(getattr(self, option), default))

    def fit(self, col_selector: Any, ddf: Any) -> Any:
        """Delayed counting, ordering and staging of every column's or group's vocabulary."""
        groups = self._groups(col_selector)
        names = [group.name for group in groups]
        twice = sorted({name for name in names if (names + self._pending).count(name) > 1})
        if twice:
            raise PopSamplerError(
                f"Expected one vocabulary of each name. Received: several named {twice} in one "
                "operator. Use one operator per branch with an out_path of its own, or rename the "
                "columns."
            )
        for group in groups:
            if group.joint:
                self.storage_name.update({column: group.name for column in group.columns})
        self._pending += names
        layouts = {group.name: self._layout(group) for group in groups}
        self._staging = self._staging or f"{self._folder}/.staging-{uuid.uuid4().hex}"
        widths = {
            group.name: option_of(self, "split_every", group.name, group.columns)
            for group in groups
        }
        counts = count_keys(ddf, groups, widths)
        return dask.delayed(dict)(
            [
                dask.delayed(_stage)(counts[group.name], group, layouts[group.name], self._staging)
                for group in groups
            ]
        )

    def fit_finalize(self, stats: Dict[str, Vocabulary]) -> None:
        """Puts the staged files in place, once it is certain that they may be."""
        try:
            for name, staged in stats.items():
                self._check_dtype(name, staged)
                self._check_owner(name, staged)
            published = files.publish(stats, self._folder)
        except BaseException:
            self.fitted_vocabularies = {**self._earlier, **self.fitted_vocabularies}
            self._set_paths()
            raise
        finally:
            self._pending = [name for name in self._pending if name not in stats]
            if self._staging and not self._pending:
                files.remove(self._staging)
                self._staging = None
        self.fitted_vocabularies.update(published)
        self._set_paths()

    def clear(self) -> None:
        """Forgets the fitted vocabularies; their files stay until a new fit replaces them."""
        self._earlier = self.fitted_vocabularies or self._earlier
        self.fitted_vocabularies = {}
        self._pending, self._staging = [], None
        super().clear()

    def transform(self, col_selector: Any, df: Any) -> Any:
        """Encodes a frame's columns. Empty frames, null columns and any index are fine."""
        encoded = df.copy(deep=False)
        for name, columns in self.column_mapping(col_selector).items():
            group = self._group_of(name, tuple(columns))
            encoded[name] = encode(
                df,
                group,
                columns,
                self._vocabulary(group.name),
                self._num_buckets(group.name, group.columns),
                self.output_dtype,
            )
        return encoded

    def get_embedding_sizes(self, columns: Sequence[str]) -> Dict[str, Tuple[int, int]]:
        """Rows (`max_id + 1`) and a width for the embedding table of each vocabulary."""
        sizes = {}
        for name in columns:
            rows = FIRST_OOV_ID + self._num_buckets(name, (name,))
            if name in self.fitted_vocabularies:
                rows = self.fitted_vocabularies[name].metadata.domain.cardinality
            sizes[name] = (rows, embedding_width(rows))
        return sizes

    def set_storage_path(self, new_path: Any, copy: bool = False) -> None:
        """Points to, or copies to, `new_path`: vocabulary, meta and counts files together."""
        self.out_path = str(new_path)
        self.fitted_vocabularies = files.move(self.fitted_vocabularies, self._folder, copy)
        self._set_paths()

    def __getstate__(self) -> Dict[str, Any]:
        return {**self.__dict__, "_earlier": {}, "_pending": [], "_staging": None}

    def _compute_properties(self, col_schema: ColumnSchema, input_schema: Schema) -> ColumnSchema:
        """Categorify's properties, right for joint groups too, and the popularity."""
        column = col_schema.name
        name = self.storage_name.get(column, column)
        col_schema = super()._compute_properties(col_schema, input_schema)
        options = {
            option: option_of(self, option, name, (column,))
            for option in ("num_buckets", "freq_threshold", "max_size")
        }
        col_schema = col_schema.with_properties(options)
        if name not in self.fitted_vocabularies:
            return col_schema
        return with_popularity(col_schema, self.fitted_vocabularies[name].metadata)

    @property
    def _folder(self) -> str:
        return f"{str(self.out_path).rstrip('/') or '/'}/{files.FOLDER}"

    def _groups(self, col_selector: Any) -> List[KeyGroup]:
        """The vocabularies that a selection asks for."""
        groups = []
        for names in col_selector.grouped_names:
            columns = (names,) if isinstance(names, str) else tuple(names)
            joint = len(columns) > 1 and self.encode_type == "joint"
            groups.append(KeyGroup(self.name_sep.join(columns), columns, joint))
        if self.encode_type == "joint":
            members = [column for group in groups for column in group.columns]
            twice = sorted({column for column in members if members.count(column) > 1})
            if twice:
                raise PopSamplerError(
                    f"Expected each column in one joint group. Received: {twice} in several. "
                    "Encode them in separate operators, each with an out_path of its own."
                )
        return groups

    def _group_of(self, name: str, columns: Tuple[str, ...]) -> KeyGroup:
        """The group whose vocabulary encodes an output column."""
        if len(columns) > 1:
            return KeyGroup(name, columns, joint=False)
        storage = self.storage_name.get(name, name) if self.encode_type == "joint" else name
        return KeyGroup(storage, columns, joint=storage != name)

    def _layout(self, group: KeyGroup) -> Layout:
        layout = Layout(
            num_buckets=self._num_buckets(group.name, group.columns),
            max_size=option_of(self, "max_size", group.name, group.columns),
            freq_threshold=option_of(self, "freq_threshold", group.name, group.columns),
            split_out=option_of(self, "split_out", group.name, group.columns),
            steps=self.steps,
        )
        if layout.max_size and layout.max_size < layout.min_id:
            raise PopSamplerError(
                f"Column {group.name!r}: expected max_size to be at least {layout.min_id}, to "
                f"hold padding, null and unknown keys. Received: {layout.max_size}. Raise it."
            )
        return layout

    def _num_buckets(self, name: str, columns: Tuple[str, ...]) -> int:
        return option_of(self, "num_buckets", name, columns) or 1

    def _vocabulary(self, name: str) -> Vocabulary:
        if name not in self.fitted_vocabularies:
            raise PopSamplerError(
                f"Column {name!r}: expected a fitted vocabulary. Received: none. "
                "Fit the workflow first."
            )
        return self.fitted_vocabularies[name]

    def _check_dtype(self, name: str, staged: Vocabulary) -> None:
        largest = np.iinfo(self.output_dtype).max
        if staged.metadata.max_id > largest:
            raise PopSamplerError(
                f"Column {name!r}: expected a dtype that holds ids up to "
                f"{staged.metadata.max_id}. Received: {np.dtype(self.output_dtype)}, which ends "
                f"at {largest}. Pass a wider dtype, or max_size."
            )

    def _check_owner(self, name: str, staged: Vocabulary) -> None:
        """Refuses to write over a vocabulary that another operator or workflow relies on."""
        path = f"{self._folder}/unique.{name}.parquet"
        owner = other_owner(files.absolute(path), self)
        relied_on = [] if owner is None else [owner.fitted_vocabularies.get(name)]
        if in_several_workflows(self):
            relied_on.append(self._earlier.get(name))
        for other in relied_on:
            if other is not None and other.path == path and other.digest != staged.digest:
                raise PopSamplerError(
                    f"Column {name!r}: expected {path} to be free, or of the same keys. Received: "
                    "the vocabulary of another branch or workflow that is still in use. Give each "
                    "operator an out_path of its own, and each workflow an operator of its own."
                )

    def _set_paths(self) -> None:
        """Tells Categorify, and other operators of this process, where the vocabularies are."""
        self.categories = {name: fit.path for name, fit in self.fitted_vocabularies.items()}
        for path in self.categories.values():
            claim(files.absolute(path), self)


def _stage(
    counts: Counts, group: KeyGroup, layout: Layout, folder: str
) -> Tuple[str, Vocabulary]:
    return group.name, files.stage(counts, group, layout, folder)
