"""The tables that devices draw by, followed in NumPy as the docstring of `InverseTable` says."""

from typing import Any

import numpy as np


def by_recipe(table: Any, u: Any, behind: bool) -> Any:
    """Ranks (int64) of uniforms, of the whole distribution or behind the table's head."""
    offset, scale = table.behind if behind else table.whole
    if table.shift is not None:
        real = np.exp(u * scale) * offset - table.shift
    elif table.cuts is None:
        real = offset + u * scale
    else:
        column = offset + u * scale
        if table.head_columns and not behind:
            column = offset + (u - table.head_mass) * scale
            in_head = np.minimum(
                u * table.head_columns / table.head_mass, np.nextafter(table.head_columns, 0)
            )
            column = np.where(u < table.head_mass, in_head, column)
        j = np.minimum(np.floor(column), len(table.cuts) - 1).astype(int)
        inside = column - j
        i = 2 * j + (inside >= table.cuts[j])
        real = table.lines[i, 0] + inside * table.lines[i, 1]
        real = np.maximum(real, table.head if behind else 0)
    return np.minimum(np.floor(real), table.size - 1).astype(np.int64)
