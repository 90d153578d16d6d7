"""The schema of a column of ids, as both operators give it."""

from typing import Any, Optional

from merlin.schema import ColumnSchema


class IdColumn(ColumnSchema):  # type: ignore[misc]
    """A `ColumnSchema` that keeps its dtype where a partition has lists, but no ids in them.

    Merlin takes the dtype of lists from the first id of each partition, while it fits. Where there
    is none, it asks for the dtype `None`, and fails at a plain `ColumnSchema`.
    """

    @classmethod
    def of(cls, column: ColumnSchema) -> "IdColumn":
        """The same schema as an `IdColumn`."""
        return cls(
            column.name, column.tags, column.properties, column.dtype, dims=column.shape.as_tuple
        )

    def with_dtype(
        self, dtype: Any, is_list: Optional[bool] = None, is_ragged: Optional[bool] = None
    ) -> ColumnSchema:
        """A copy with this dtype; the schema itself for None."""
        return self if dtype is None else super().with_dtype(dtype, is_list, is_ragged)

    def __eq__(self, other: object) -> bool:
        """Whether the fields are the same, whichever of the two classes `other` has."""
        return isinstance(other, ColumnSchema) and vars(self) == vars(other)

    __hash__ = ColumnSchema.__hash__
