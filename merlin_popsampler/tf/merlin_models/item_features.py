"""Defines the table of item features, from which an item tower encodes sampled ids."""

import copy
import os
from typing import Any, Dict, Iterable, Tuple

import tensorflow as tf

from merlin_popsampler.contract.metadata import PROPERTY
from merlin_popsampler.contract.schema import column_popularity, find_item_column, schema_of
from merlin_popsampler.core.checks import truncate_repr, whole_number
from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.errors import PopSamplerError, SchemaError
from merlin_popsampler.tf.ids import integers

from .item_columns import Column, Store, read_column, read_ids
from .saving import is_saving

MAX_BYTES = 512 * 2**20
"""Default limit of the memory for the features of all items."""


class ItemFeatures:
    """Looks up the features of items by id, so that an item tower can encode sampled items.

    `tower(table.features(ids))` returns the same vectors as the tower does for a batch of Merlin's
    Loader with these items. Build the table with `from_dataset`.

    The table is not a part of a model: Keras neither tracks nor saves it. Pass it to a loaded model
    again before training. For a SavedModel, Keras also traces training calls, which never run, and
    would write the table into the file. So in such a trace, `features` treats all ids as reserved.
    A custom layer should use the table as follows, so that it can be saved with and without a
    table:

        def call(self, inputs, training=False):
            if training and not is_saving():
                candidates = self.tower(required(self.item_features).features(self.sampled_ids()))
                ...

    A graph captures a table in memory as an argument, without a copy. Under XLA
    (`jit_compile=True`), columns in memory without lists of varying length work.

    Attributes:
      domain: the ids that have features.
      columns: names of the features, the item id among them.

    Examples:
      >>> import pandas as pd
      >>> from merlin.io import Dataset
      >>> from merlin.schema import ColumnSchema, Schema, Tags
      >>> from merlin_popsampler import PopularityBasedSampler
      >>> columns = [ColumnSchema("item", [Tags.ITEM_ID]), ColumnSchema("price")]
      >>> items = pd.DataFrame({"item": [4, 3, 5], "price": [0.5, 0.25, 2.0]})
      >>> items = Dataset(items, cpu=True, schema=Schema(columns))
      >>> sampler = PopularityBasedSampler(max_id=5, min_id=3, max_num_samples=2)
      >>> table = ItemFeatures.from_dataset(items, domain=sampler.domain)
      >>> table.features([3, 4])["price"].numpy().ravel().tolist()
      [0.25, 0.5]
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
        """Builds the table from a data set of items, encoded by the workflow of the training data.

        Rows of reserved ids, such as unknown items, are ignored.

        Args:
          items: a Merlin Dataset, or a folder of parquet files with a schema, of one row an item.
          schema: a source of the schema with the tag of the item-id column, such as the training
            data; None for the schema of `items`.
          columns: names of the features, or a Schema or tower with these; None for all columns that
            schema and data set share.
          domain: the ids of the items, such as the `domain` of a sampler; None for the schema's.
          folder: folder for columns that do not fit in memory, as `.npy` files; files of these
            names are replaced.
          max_bytes: memory for all columns, in bytes.

        Raises:
          SchemaError: there is no item-id column, the range of ids is unknown, or the items are
            from another fit.
          PopSamplerError: there are no files; an id has no row, several rows, or is out of range;
            columns or values are missing; values are not numbers; columns fit neither in memory
            nor in a folder; or an argument has another type.
        """
        items = _dataset(items)
        known = schema_of(items if schema is None else schema)
        item = find_item_column(known)
        _check_same_fit(item, items.schema)
        present = set(items.to_ddf().columns)
        shared = tuple(name for name in known.column_names if name in present)
        names = shared if columns is None else _names(columns)
        _check_present(names, shared)
        domain = _ids(column_popularity(item).domain if domain is None else domain)
        rows = domain if isinstance(domain, IdDomain) else domain.in_numpy()
        limit = whole_number("max_bytes", max_bytes, 0, "Pass a number of bytes, such as 2**30.")
        id_dtype, store = read_ids(items, item.name, rows), Store(limit, folder)
        features = {
            name: store.keep(read_column(items, item.name, known[name], rows))
            for name in names
            if name != item.name
        }
        return cls(domain, item.name, id_dtype, features)

    def select(self, columns: Any) -> "ItemFeatures":
        """Returns the table with only these columns.

        Args:
          columns: names of features, or a Schema or tower with these.

        Raises:
          PopSamplerError: the table lacks a feature, or `columns` does not name any.
        """
        names = _names(columns)
        _check_present(names, self.columns)
        selected = copy.copy(self)
        selected.columns = tuple(names)
        return selected

    def check_serves(self, domain: Any) -> None:
        """Checks that the table has a row for each id of a domain.

        Args:
          domain: the ids, such as the `domain` of a sampler.

        Raises:
          PopSamplerError: the table does not have all of these ids, or `domain` is none.
        """
        _ids(domain)
        inside = self.domain.min_id <= domain.min_id and domain.max_id <= self.domain.max_id
        if domain != self.domain and not (inside and isinstance(self.domain, IdDomain)):
            raise PopSamplerError(
                f"Expected features of the ids {domain.min_id} to {domain.max_id}. Received: a "
                f"table of {self.domain.min_id} to {self.domain.max_id}. Make the table with "
                "domain=sampler.domain, and take both from one fit."
            )

    def features(self, ids: Any) -> Dict[str, tf.Tensor]:
        """Returns features of items in the form of Merlin's Loader, the input of a tower.

        Args:
          ids: integers `[n]`, or `[n, 1]`.

        Returns:
          A dict by column, in the dtypes of the data set: numbers `[n]`, and lists `[n, length]`
          if the schema fixes their length. Other lists have their elements in `<name>__values`,
          and the start of each list, int64 `[n + 1]`, in `<name>__offsets`. Ids that do not stand
          for an item have zeros (padding, in an encoded column) or empty lists. The item-id
          column is `ids`.

        Raises:
          PopSamplerError: the ids are not integers.
        """
        ids = tf.reshape(tf.cast(integers(ids), tf.int64), [-1])
        # Merlin loses the length of a batch of lists, and rejects numbers of a known length.
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


def required(table: Any) -> ItemFeatures:
    """Returns its argument, and raises an error if it is not a table.

    Args:
      table: the table, or None.

    Raises:
      PopSamplerError: `table` is None, as after loading a model, or not an `ItemFeatures`.
    """
    if table is None:
        raise PopSamplerError(
            "Expected the items' features, which training and scores of the whole catalog need. "
            "Received: none; a model is saved without them. Build them again with "
            "ItemFeatures.from_dataset, and pass them to set_item_features(table). After a failed "
            "fit, call model.compile too."
        )
    if not isinstance(table, ItemFeatures):
        raise PopSamplerError(
            f"Expected item_features to be an ItemFeatures. Received: {type(table).__name__}. "
            "Build it from the items: ItemFeatures.from_dataset(items)."
        )
    return table


def _dataset(items: Any) -> Any:
    """Returns a Merlin Dataset, which is read from a folder if necessary."""
    from merlin.io import Dataset

    if isinstance(items, Dataset):
        return items
    if not isinstance(items, (str, os.PathLike)):
        raise PopSamplerError(
            "Expected a Merlin Dataset, or a folder of parquet files. Received: "
            f"{type(items).__name__}. Pass Dataset(frame, schema=schema) for a data frame."
        )
    files = f"{os.fspath(items).rstrip('/')}/*.parquet"
    if not tf.io.gfile.glob(files):
        raise PopSamplerError(
            f"Expected parquet files in {items}. Received: none. "
            "Pass the folder that Dataset.to_parquet wrote, or a Merlin Dataset."
        )
    return Dataset(files, engine="parquet")


def _names(columns: Any) -> Tuple[str, ...]:
    """Returns the names of columns, of a Schema, or of an object with a schema.

    Raises:
      PopSamplerError: these are not several names.
    """
    schema = getattr(columns, "schema", columns)
    names = getattr(schema, "column_names", schema)
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise PopSamplerError(
            "Expected columns as a list of names, or a Schema or tower with these. Received: "
            f"{truncate_repr(columns)}. Pass a list, even of one name."
        )
    return tuple(names)


def _ids(domain: Any) -> Any:
    """Returns its argument, the ids of all items, and raises an error if it is not such."""
    if not (isinstance(domain, IdDomain) or hasattr(domain, "in_numpy")):
        raise PopSamplerError(
            f"Expected domain to be the ids of a sampler. Received: {type(domain).__name__}. Pass "
            "sampler.domain, or IdDomain(min_id, max_id)."
        )
    return domain


def _check_present(names: Tuple[str, ...], present: Any) -> None:
    missing = [name for name in names if name not in present]
    if missing:
        raise PopSamplerError(
            f"Expected item features {list(names)}. Received: {list(present)}, without {missing}. "
            "Add these columns to the item table, or remove them from the tower's inputs."
        )


def _check_same_fit(item: Any, schema: Any) -> None:
    """Raises an error for items whose schema shows that another fit encoded them."""
    own = schema[item.name] if item.name in schema.column_names else item
    digests = [(column.properties.get(PROPERTY) or {}).get("digest") for column in (item, own)]
    if None not in digests and digests[0] != digests[1]:
        raise SchemaError(
            f"Column {item.name!r}: expected items that were encoded by the schema's own fit. "
            "Received: items of another fit, whose ids stand for other items. "
            "Transform the items with the workflow that wrote the schema."
        )
