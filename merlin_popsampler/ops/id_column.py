"""Defines the schema of a column of ids, for both operators."""

from typing import Any, Optional

from merlin.schema import ColumnSchema


class IdColumn(ColumnSchema):  # type: ignore[misc]
    """Keeps the dtype of a column of lists if a partition contains only empty lists.

    During a fit, Merlin reads the dtype from the first id of each partition. If there is none, it
    passes `dtype=None` to `with_dtype`, which raises an error in a plain `ColumnSchema`.
    """

    @classmethod
    def of(cls, column: ColumnSchema) -> "IdColumn":
        """Converts a schema of a column to an `IdColumn`."""
        return cls(
            column.name, column.tags, column.properties, column.dtype, dims=column.shape.as_tuple
        )

    def with_dtype(
        self, dtype: Any, is_list: Optional[bool] = None, is_ragged: Optional[bool] = None
    ) -> ColumnSchema:
        """Returns a copy with this dtype, or the schema itself if the dtype is None."""
        return self if dtype is None else super().with_dtype(dtype, is_list, is_ragged)

    def __eq__(self, other: object) -> bool:
        """Compares the fields; `other` may be of either class."""
        return isinstance(other, ColumnSchema) and vars(self) == vars(other)

    __hash__ = ColumnSchema.__hash__
