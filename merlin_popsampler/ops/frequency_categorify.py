"""Defines a Categorify that assigns ids by decreasing frequency, and records that in the schema."""

import warnings
from dataclasses import replace
from inspect import signature
from typing import Any, Dict, FrozenSet, Iterable, List, Optional, Sequence, Set, Tuple

import dask
import numpy as np
from merlin.dtypes.shape import DefaultShapes
from merlin.schema import ColumnSchema, Schema

from merlin_popsampler.contract.schema import with_popularity
from merlin_popsampler.core.checks import choice, truncate_repr, whole_number
from merlin_popsampler.core.domain import FIRST_OOV_ID
from merlin_popsampler.core.popularity_curve import MAX_STEPS
from merlin_popsampler.errors import PopSamplerError
from merlin_popsampler.store import artifact
from merlin_popsampler.store.artifact import FitFolder
from merlin_popsampler.store.fit_sources import Fits, fits_of
from merlin_popsampler.store.stock_files import export_categorify_files

from .column_options import CHANGES_IDS, DEFAULTS, PerColumn, check_names, checked_option, option_of
from .counting import count_keys
from .encoding import encode
from .id_column import IdColumn
from .keys.columns import KeyGroup
from .nvtabular_compat import Categorify, embedding_width
from .stable_ids import STABLE, base_of
from .stored_operator import StoredOperator
from .upstream import JOINT
from .vocabulary import Vocabulary, VocabularyOptions, stage


class FrequencyCategorify(StoredOperator, Categorify):  # type: ignore[misc]
    """Encodes keys as `nvtabular.ops.Categorify` does, with ids in frequency order.

    Keys are sorted by (count descending, key ascending). The same data gets the same ids on any
    processor, in any partitioning, with any `split_out`. `max_size` and `freq_threshold` truncate
    the sorted keys, also together. The schema of each encoded column gets its `PopularityMetadata`.
    With the vocabulary, a fit writes `popularity.<column>.parquet`, one row for each id from 0 to
    `max_id`.

    Id 0 is padding, 1 is null, `[2, 2 + num_buckets)` are unknown keys, and the keys follow. Null
    list elements are nulls, and null lists are empty lists.

    With `base`, keys of an earlier fit keep their ids, and new keys follow by frequency. Keys that
    no longer occur keep their ids too, and samplers never draw them.

    Args:
      *args: arguments of Categorify.
      steps: largest number of steps of the popularity curve in the schema, `>= 1`.
      base: an earlier fit of the same columns and `num_buckets`, whose keys keep their ids in each
        fit: a fitted workflow or operator, or a path or schema as for `id_map`. `max_size` and
        `freq_threshold` then remove only new keys.
      **kwargs: arguments of Categorify, with these differences. `single_table` and `vocabs` raise
        an error, since ids would not be in frequency order. In an option by column, columns that
        are not named get the default, unless a name is of no column. `cat_cache` has no effect:
        the vocabulary is cached on the device of the data.

    Raises:
      PopSamplerError: arguments contradict frequency order, `dtype` is not an integer, or a number
        is out of range.

        `fit` raises it if `dtype` is too small for the ids, keys are ambiguous, or `base` has
        other columns or types of keys. The previous fit then stays in use. `set_storage_path` and
        `transform` raise it if files of the fit were changed or removed.

    Examples:
      >>> import pandas as pd
      >>> from merlin.io import Dataset
      >>> from nvtabular import Workflow
      >>> sales = pd.DataFrame({"item": ["tea", "rice", "milk", "rice", "rice", "tea"]})
      >>> workflow = Workflow(["item"] >> FrequencyCategorify())
      >>> ids = workflow.fit_transform(Dataset(sales, cpu=True)).compute()["item"]
      >>> ids.tolist()
      [4, 3, 5, 3, 3, 4]
      >>> workflow.output_schema["item"].properties["popularity"]["max_id"]
      5
    """

    subfolder = artifact.CATEGORIES

    def __init__(self, *args: Any, steps: int = MAX_STEPS, base: Any = None, **kwargs: Any) -> None:
        given = signature(Categorify).bind(*args, **kwargs)
        _check_passed_on(given.arguments)
        for option in DEFAULTS:
            if option in given.arguments:
                given.arguments[option] = checked_option(option, given.arguments[option])
        threshold = given.arguments.get("freq_threshold", DEFAULTS["freq_threshold"])
        # Categorify takes only one of the two limits.
        given.arguments["freq_threshold"] = 0 if given.arguments.get("max_size") else threshold
        try:
            with warnings.catch_warnings():
                # Only the buckets of unknown keys are hashed, which the documentation says.
                warnings.filterwarnings("ignore", "Performing a hash-based transformation")
                super().__init__(*given.args, **given.kwargs)
        except ValueError as error:
            raise PopSamplerError(
                f"Expected arguments that Categorify accepts. Received: {str(error).rstrip('.')}. "
                "Correct the name or the value, as nvtabular.ops.Categorify describes them."
            ) from error
        self.freq_threshold = threshold or 0
        if self.single_table:
            raise PopSamplerError(
                "Expected single_table=False: one table for several columns shifts the ids of all "
                "but the first away from their frequency order. Received: single_table=True. "
                "Group the columns instead, [['a', 'b']], for one joint vocabulary."
            )
        if not _is_integer(self.output_dtype):
            raise PopSamplerError(
                f"Expected a NumPy integer dtype for ids. Received: {self.dtype!r}. "
                "Pass 'int32' or 'int64', or leave it out."
            )
        self.steps = whole_number("steps", steps, 1, f"By default it is {MAX_STEPS}.")
        self.base = None if base is None else _fits_of(base)
        self._init_files()
        self._lists: FrozenSet[str] = frozenset()
        for option, default in DEFAULTS.items():
            if isinstance(getattr(self, option), dict):
                setattr(self, option, PerColumn(getattr(self, option), default))

    def fit(self, col_selector: Any, ddf: Any) -> Any:
        """Builds the task that counts the keys of each vocabulary, sorts them and writes them.

        Args:
          col_selector: the columns, or groups of columns, to encode.
          ddf: dask data frame of pandas or cuDF partitions.

        Returns:
          A dask `Delayed` of a dict, the argument of `fit_finalize`. `Workflow.fit` computes it.

        Raises:
          PopSamplerError: options or columns contradict each other, an option by column seems to
            have a misspelt name, or `out_path` cannot be written.
        """
        groups = self._groups(col_selector)
        self._check_still_joint(groups)
        check_names(self, groups)
        layouts = {group.name: self._layout(group) for group in groups}
        folder = self._begin([group.name for group in groups])
        self._note_joint(groups)
        split_every = {group.name: option_of(self, "split_every", group) for group in groups}
        split_out = {name: layout.split_out for name, layout in layouts.items()}
        counts = count_keys(ddf, groups, split_every, split_out)
        return dask.delayed(
            {
                group.name: stage(counts[group.name], group, layouts[group.name], folder)
                for group in groups
            }
        )

    def clear(self) -> None:
        """Starts a new fit; the previous fit stays in use until the new one is complete."""
        Categorify.clear(self)
        StoredOperator.clear(self)

    def transform(self, col_selector: Any, df: Any) -> Any:
        """Returns a copy of a frame with encoded columns.

        Args:
          col_selector: the columns to encode.
          df: pandas or cuDF frame with any index; it may be empty.

        Raises:
          PopSamplerError: there is no fit, its files were changed or removed, or keys have another
            type than in the fit.
        """
        encoded = df.copy(deep=False)
        for name, columns in self.column_mapping(col_selector).items():
            group = self._group_of(name, tuple(columns))
            vocabulary = self._vocabulary(group.name)
            encoded[name] = encode(df, group, columns, vocabulary, self.output_dtype)
        return encoded

    def folders_in_use(self) -> Set[FitFolder]:
        """Returns the folders of this operator's fits, and those of its base."""
        base = [fit.encoder for fits in (self.base or {}).values() for fit in fits]
        return super().folders_in_use() | {fitted.folder for fitted in base if fitted}

    def inference_initialize(self, columns: Any, inference_config: Any) -> None:
        """Returns None, so that a server encodes with `transform`, to the same ids as in training.

        Categorify's encoder for servers ignores types of keys (it encodes 2.5 as 2), several
        buckets of unknown keys, and joint vocabularies.
        """

    def get_embedding_sizes(self, columns: Sequence[str]) -> Dict[str, Tuple[int, int]]:
        """Returns (rows, width) of an embedding table for each column.

        Rows are `max_id + 1`, and the width follows NVTabular's rule of thumb.
        """
        sizes = {}
        for name in columns:
            if name in self._fresh:
                rows = self._fresh[name].metadata.domain.cardinality
            else:
                rows = FIRST_OOV_ID + self._num_buckets(self._joint_group(name))
            sizes[name] = (rows, embedding_width(rows))
        return sizes

    def compute_output_schema(
        self, input_schema: Schema, col_selector: Any, prev_output_schema: Optional[Schema] = None
    ) -> Schema:
        """Returns Categorify's schema, with the names of joint vocabularies even before the fit."""
        self._lists = frozenset(column.name for column in input_schema if column.is_list)
        self._note_joint(self._groups(col_selector))
        return super().compute_output_schema(input_schema, col_selector, prev_output_schema)

    def compute_column_schema(self, col_name: str, input_schema: Schema) -> ColumnSchema:
        """Returns Categorify's schema of a column, which keeps the dtype of the ids."""
        return IdColumn.of(super().compute_column_schema(col_name, input_schema))

    def _compute_properties(self, col_schema: ColumnSchema, input_schema: Schema) -> ColumnSchema:
        """Adds the popularity to Categorify's properties, and corrects those of joint groups."""
        column = col_schema.name
        name = self.storage_name.get(column, column)
        col_schema = super()._compute_properties(col_schema, input_schema)
        group = self._joint_group(name)
        options = {option: option_of(self, option, group) for option in CHANGES_IDS}
        col_schema = col_schema.with_properties(options)
        if name != column:
            shared = {"column": column, "columns": list(group.columns)}
            col_schema = col_schema.with_properties({JOINT: shared})
        if self.base is not None:
            col_schema = col_schema.with_properties({STABLE: True})
        if name not in self._fresh:
            return col_schema
        return with_popularity(col_schema, self._fresh[name].placed_metadata)

    def _compute_shape(self, col_schema: ColumnSchema, input_schema: Schema) -> ColumnSchema:
        """Gives columns of lists the shape of lists, if the fit has seen lists.

        Merlin infers the shape from one row, which may be null.
        """
        col_schema = super()._compute_shape(col_schema, input_schema)
        column = col_schema.name
        found = self._fresh.get(self.storage_name.get(column, column))
        if col_schema.is_list or found is None or not found.is_list.get(column):
            return col_schema
        return col_schema.with_shape(DefaultShapes.LIST)

    def _groups(self, col_selector: Any) -> List[KeyGroup]:
        """Returns the vocabularies that a selection of columns needs."""
        groups = []
        for names in col_selector.grouped_names:
            columns = (names,) if isinstance(names, str) else tuple(names)
            for column in columns:
                _check_name(column)
            joint = len(columns) > 1 and self.encode_type == "joint"
            groups.append(KeyGroup(self.name_sep.join(columns), columns, joint, self._lists))
        if self.encode_type == "joint":
            members = [column for group in groups for column in group.columns]
            twice = sorted({column for column in members if members.count(column) > 1})
            if twice:
                raise PopSamplerError(
                    f"Expected each column in one joint group. Received: {twice} in several. "
                    "Encode them in separate operators, and rename the columns of one (`>> "
                    "Rename(postfix='_2')`), since columns of one name replace each other."
                )
        return groups

    def _check_still_joint(self, groups: Iterable[KeyGroup]) -> None:
        """Raises an error for separate columns that the last fit encoded jointly."""
        single = [group.name for group in groups if not group.joint]
        torn = [name for name in single if self.storage_name.get(name, name) != name]
        if torn:
            raise PopSamplerError(
                f"Columns {torn}: expected their joint vocabulary "
                f"{self.storage_name[torn[0]]!r}, as in the last fit. Received: each column alone, "
                "whose ids would differ. Build a new workflow, with a new operator."
            )

    def _note_joint(self, groups: Iterable[KeyGroup]) -> None:
        """Tells Categorify which columns share a vocabulary."""
        for group in groups:
            if group.joint:
                self.storage_name.update(dict.fromkeys(group.columns, group.name))

    def _group_of(self, name: str, columns: Tuple[str, ...]) -> KeyGroup:
        """Returns the group whose vocabulary encodes an output column."""
        if len(columns) > 1:
            return KeyGroup(name, columns, joint=False)
        storage = self.storage_name.get(name, name) if self.encode_type == "joint" else name
        return KeyGroup(storage, columns, joint=storage != name)

    def _layout(self, group: KeyGroup) -> VocabularyOptions:
        layout = VocabularyOptions(
            num_buckets=self._num_buckets(group),
            max_size=option_of(self, "max_size", group),
            freq_threshold=option_of(self, "freq_threshold", group),
            split_out=option_of(self, "split_out", group),
            steps=self.steps,
        )
        if self.base is not None:
            layout = replace(layout, base=base_of(self.base, group, layout.min_id))
        if layout.max_size and layout.max_size < layout.min_id:
            raise PopSamplerError(
                f"Column {group.name!r}: expected max_size to be at least {layout.min_id}, to "
                f"hold padding, null and unknown keys. Received: {layout.max_size}. Raise it."
            )
        return layout

    def _joint_group(self, name: str) -> KeyGroup:
        """Returns the vocabulary with the columns that it encodes jointly, or under its name."""
        joint = [column for column, storage in self.storage_name.items() if storage == name]
        return KeyGroup(name, tuple(joint) or (name,), joint=bool(joint))

    def _num_buckets(self, group: KeyGroup) -> int:
        return option_of(self, "num_buckets", group) or 1

    def _vocabulary(self, name: str) -> Vocabulary:
        if name not in self.fits:
            raise PopSamplerError(
                f"Column {name!r}: expected a fitted vocabulary. Received: none. "
                "Fit the workflow first."
            )
        vocabulary: Vocabulary = self.fits[name]
        return vocabulary

    def _check(self, name: str, found: Vocabulary) -> None:
        largest = np.iinfo(self.output_dtype).max
        if found.metadata.max_id > largest:
            # With a base, max_size removes only new keys.
            can_shrink = self.base is None and found.metadata.min_id <= largest
            instead = f", or max_size={largest + 1}" if can_shrink else ""
            raise PopSamplerError(
                f"Column {name!r}: expected a dtype that holds ids up to "
                f"{found.metadata.max_id}. Received: {np.dtype(self.output_dtype)}, which ends "
                f"at {largest}. Pass a wider dtype{instead}."
            )

    def _copy(self, fits: Dict[str, Vocabulary]) -> None:
        """Copies the vocabularies for programs that read Categorify's files."""
        for root in {found.folder.root for found in fits.values()}:
            with self._beside(root) as folder:
                export_categorify_files(fits, folder)

    def _use(self, fits: Dict[str, Vocabulary]) -> None:
        """Tells Categorify where the vocabularies are."""
        super()._use(fits)
        self.categories = {name: found.path(artifact.UNIQUE) for name, found in fits.items()}


def _check_passed_on(given: Dict[str, Any]) -> None:
    """Raises an error for arguments of Categorify that it would use, or refuse, only later."""
    vocabs = given.get("vocabs")
    if vocabs is not None and (not isinstance(vocabs, dict) or vocabs):
        raise PopSamplerError(
            "Expected no vocabs: a given vocabulary has its own order, and no counts. Received: "
            f"{type(vocabs).__name__}. Encode with Categorify(vocabs=...) "
            ">> FrequencyOrder(on_violation='remap') instead."
        )
    choice("encode_type", given.get("encode_type", "joint"), ("joint", "combo"))
    separator = given.get("name_sep", "_")
    if not isinstance(separator, str):
        raise PopSamplerError(
            "Expected name_sep to be a string between the names of columns. Received: "
            f"{truncate_repr(separator)}. Leave it out for '_'."
        )


def _fits_of(base: Any) -> Fits:
    """Returns the fits of `base`, so that the operator need not hold the object.

    Raises:
      PopSamplerError: `base` does not hold a fit.
    """
    found = fits_of(base)
    if not found:
        raise PopSamplerError(
            "Expected base to be an earlier fit: a fitted workflow or operator, or the path of a "
            f"saved one. Received: {truncate_repr(base)} without a fit. Fit it first."
        )
    return found


def _check_name(column: str) -> None:
    """Raises an error for a name that pyarrow would truncate or cannot encode in Parquet."""
    if "\0" in column or any("\ud800" <= letter <= "\udfff" for letter in column):
        raise PopSamplerError(
            f"Column {column!r}: expected a name that a Parquet file can hold. Received: one with "
            "a NUL or half of a surrogate pair. Rename the column before it is encoded."
        )


def _is_integer(dtype: Any) -> bool:
    """Tests whether this is a NumPy dtype of integers; pandas' nullable dtypes are not."""
    try:
        return np.dtype(dtype).kind in "iu"
    except TypeError:
        return False
