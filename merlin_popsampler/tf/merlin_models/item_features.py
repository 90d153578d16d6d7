"""ItemFeatures: what an item tower needs to know of ids that were sampled, not read."""

import copy
from typing import Any, Dict, Optional, Tuple

import tensorflow as tf

from merlin_popsampler.contract.metadata import PROPERTY
from merlin_popsampler.contract.schema import column_popularity, find_item_column, schema_of
from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.errors import PopSamplerError, SchemaError
from merlin_popsampler.tf.ids import integers

from .item_columns import Column, Store, read_column, read_ids
from .saving import is_saving

MAX_BYTES = 512 * 2**20
"""What the features of all items may take in memory, unless the caller knows better."""


class ItemFeatures:
    """The features of every item, one row an id, to be looked up for ids that were sampled.

    `tower(table.features(ids))` gives the vectors that the tower gives for a batch of Merlin's
    Loader with these items. `from_dataset` makes the table.

    It is no part of a model: Keras neither tracks nor saves it, and a model that was loaded trains
    once it is given one. For a SavedModel Keras traces training calls too, and would write the
    table into it, so `features` answers there as if no id were an item's; nobody runs what is
    traced so. A layer of one's own looks the table up like this, so that it can be saved with the
    table and without:

        def call(self, inputs, training=False):
            if training and not is_saving():
                candidates = self.tower(required(self.item_features).features(self.sampled_ids()))
                ...

    In a graph a table in memory is captured, not copied: each trace takes it as an argument. Under
    XLA (`jit_compile=True`) works what is in memory and no list of varying length.

    Attributes:
      domain: the ids that have features.
      columns: names of the features, the item id among them.
    """

    domain: Any
    columns: Tuple[str, ...]

    def __init__(
        self, domain: Any, id_name: str, id_dtype: tf.DType, features: Dict[str, Column]
    ) -> None:
        self.domain = domain
        self.columns = (id_name, *features)
        self._id_name, self._id_dtype, self._features = id_name, id_dtype, features

    @classmethod
    def from_dataset(
        cls,
        items: Any,
        schema: Any = None,
        columns: Any = None,
        *,
        domain: Any = None,
        folder: Any = None,
        max_bytes: int = MAX_BYTES,
    ) -> "ItemFeatures":
        """The table of a data set of items, encoded by the workflow of the training data.

        Rows of reserved ids, such as unknown items, are passed over.

        Args:
          items: a Merlin Dataset, or a folder of parquet files with a schema, of one row an item.
          schema: whatever has the schema that tells the item-id column by its tag, such as that of
            the training data; None for the data set's own.
          columns: names of the features, or a Schema or tower of these; None for all columns that
            schema and data set share.
          domain: the ids of the items, such as a sampler's `domain`; None for those of the schema.
          folder: where the columns that do not fit into memory are written, as `.npy` files that
            are read as needed; files of these names are replaced.
          max_bytes: what all columns may take in memory.

        Raises:
          SchemaError: no item-id column, an unknown range of ids, or items of another fit.
          PopSamplerError: no files; ids without a row, with several, or beyond the range; missing
            columns; values that are missing or no numbers; columns that fit neither memory nor a
            folder.
        """
        items = _dataset(items)
        known = schema_of(items if schema is None else schema)
        item = find_item_column(known)
        _check_same_fit(item, items.schema)
        present = set(items.to_ddf().columns)
        shared = tuple(name for name in known.column_names if name in present)
        names = shared if columns is None else _names(columns)
        _check_present(names, shared)
        domain = domain or column_popularity(item).domain
        rows = domain if isinstance(domain, IdDomain) else domain.in_numpy()
        id_dtype, store = read_ids(items, item.name, rows), Store(max_bytes, folder)
        features = {
            name: store.keep(read_column(items, item.name, known[name], rows))
            for name in names
            if name != item.name
        }
        return cls(domain, item.name, id_dtype, features)

    def select(self, columns: Any) -> "ItemFeatures":
        """The table with these columns alone.

        Args:
          columns: names of features, or a Schema or tower of these.

        Raises:
          PopSamplerError: a feature that the table does not have.
        """
        names = _names(columns)
        _check_present(names, self.columns)
        selected = copy.copy(self)
        selected.columns = tuple(names)
        return selected

    def check_serves(self, domain: Any) -> None:
        """Refuses ids, such as a sampler's, that are not all in the table.

        Raises:
          PopSamplerError: a domain that reaches beyond the table's.
        """
        inside = self.domain.min_id <= domain.min_id and domain.max_id <= self.domain.max_id
        if domain != self.domain and not (inside and isinstance(self.domain, IdDomain)):
            raise PopSamplerError(
                f"Expected features of the ids {domain.min_id} to {domain.max_id}. Received: a "
                f"table of {self.domain.min_id} to {self.domain.max_id}. Make the table with "
                "domain=sampler.domain, and take both from one fit."
            )

    def features(self, ids: Any) -> Dict[str, tf.Tensor]:
        """The items' features as Merlin's Loader gives them, which is what a tower receives.

        Args:
          ids: integers `[n]`, or `[n, 1]`.

        Returns:
          By column: numbers `[n]`; lists of one length `[n, length]`; of other lists the elements
          as `<name>__values`, and as `<name>__offsets` int64 `[n + 1]`. Types are the data set's.
          Ids without an item (padding, null, unknown, out of the domain) have zeros, which is
          padding in an encoded column, and empty lists; as item id each has itself.
        """
        ids = tf.reshape(tf.cast(integers(ids), tf.int64), [-1])
        # Merlin loses the length of a batch of lists, and refuses numbers whose length it knows.
        ids = tf.compat.v1.placeholder_with_default(ids, [None])
        rows = tf.where(self.domain.contains(ids), self.domain.rank(ids) + 1, 0)
        saving = is_saving()
        batch: Dict[str, tf.Tensor] = {}
        for name in self.columns:
            if name == self._id_name:
                batch[name] = tf.cast(ids, self._id_dtype)
            elif saving:
                batch.update(self._features[name].without_items().at(tf.zeros_like(rows)))
            else:
                batch.update(self._features[name].at(rows))
        return batch


def required(table: Optional[ItemFeatures]) -> ItemFeatures:
    """The table, where there is one.

    Raises:
      PopSamplerError: none, as after loading a model, with which the table is not saved.
    """
    if table is None:
        raise PopSamplerError(
            "Expected the items' features, which training and scores of the whole catalog need. "
            "Received: none; a model is saved without them. Make them anew with "
            "ItemFeatures.from_dataset, and pass them to set_item_features(table)."
        )
    return table


def _dataset(items: Any) -> Any:
    """A Merlin Dataset, read from a folder if it is none."""
    from merlin.io import Dataset

    if isinstance(items, Dataset):
        return items
    files = f"{items}/*.parquet"
    if not tf.io.gfile.glob(files):
        raise PopSamplerError(
            f"Expected parquet files in {items}. Received: none. "
            "Pass the folder that Dataset.to_parquet wrote, or a Merlin Dataset."
        )
    return Dataset(files, engine="parquet")


def _names(columns: Any) -> Tuple[str, ...]:
    """Names of columns, of a Schema's, or of those of whatever has a schema."""
    schema = getattr(columns, "schema", columns)
    return tuple(getattr(schema, "column_names", schema))


def _check_present(names: Tuple[str, ...], present: Any) -> None:
    missing = [name for name in names if name not in present]
    if missing:
        raise PopSamplerError(
            f"Expected item features {list(names)}. Received: no {missing} among {list(present)}. "
            "Put these into the item table, and take them from there, or from the tower's inputs."
        )


def _check_same_fit(item: Any, schema: Any) -> None:
    """Refuses items whose ids another fit has given, where their schema tells."""
    own = schema[item.name] if item.name in schema.column_names else item
    digests = [(column.properties.get(PROPERTY) or {}).get("digest") for column in (item, own)]
    if None not in digests and digests[0] != digests[1]:
        raise SchemaError(
            f"Column {item.name!r}: expected items that were encoded by the schema's own fit. "
            "Received: items of another fit, whose ids stand for other items. "
            "Transform the items with the workflow that wrote the schema."
        )
