"""Looks expected counts up in PyTorch, from the tables of `core.expected_counts`."""

import math

import numpy as np
import torch
from torch.nn import functional

from merlin_popsampler.core.expected_counts import CELL_SHIFT, ExpectedCounts

from .constants import Constants
from .inverse_cdf import Edges


class ExpectedCountsOnDevice(Constants):
    """Looks up how often each rank is expected in a batch, by the formulas of `ExpectedCounts`.

    Args:
      table: the table of `core.expected_counts`.
      edges: the edges of the distribution's segments.
    """

    def __init__(self, table: ExpectedCounts, edges: Edges) -> None:
        super().__init__()
        self.table, self.edges = table, edges
        # As numbers, since torch.compile follows no property of NumPy's numbers.
        self._ends, self._first_bits = (table.first, table.last), table.first_bits
        self.keep("_rows", table.rows.astype(np.float32))

    def forward(self, ranks: torch.Tensor) -> torch.Tensor:
        """Returns expected counts, with a relative error of at most 6e-6.

        Args:
          ranks: int64 of any shape.

        Returns:
          float32 of the shape of `ranks`.
        """
        return self._by_cell(ranks) if self.table.starts is None else self._by_segment(ranks)

    def _by_segment(self, ranks: torch.Tensor) -> torch.Tensor:
        rows, safe = self._rows[:, 0], ranks.clamp(0, self.table.size - 1)
        found = rows[0].expand(ranks.shape) if len(rows) == 1 else rows[self.edges(safe)]
        return found.masked_fill(safe != ranks, self.table.outside)

    def _by_cell(self, ranks: torch.Tensor) -> torch.Tensor:
        x = (ranks.to(torch.float64) + 1.0).clamp(*self._ends)
        b, a = functional.embedding(self._cell(x), self._rows).unbind(-1)
        return torch.addcdiv(b, a, x.to(torch.float32))

    def _cell(self, x: torch.Tensor) -> torch.Tensor:
        if not torch.jit.is_tracing():
            return (x.view(torch.int64) - self._first_bits) >> CELL_SHIFT
        # torch.jit.trace cannot record a view of another dtype. A mantissa is in [0.5, 1).
        mantissa, exponent = torch.frexp(x)
        first, power = math.frexp(self._ends[0])
        from_first = 2.0 * mantissa + (exponent - power) - 2.0 * first
        return (from_first * 2.0 ** (52 - CELL_SHIFT)).to(torch.int64)
