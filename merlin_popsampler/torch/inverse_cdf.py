"""Maps uniforms to ranks in PyTorch, in float64, by the tables of `core.tables`."""

import numpy as np
import torch

from merlin_popsampler.core.segments import Segments
from merlin_popsampler.core.tables import InverseTable, Line

from .constants import Constants


class InverseCDF(Constants):
    """Maps uniforms to ranks: of the whole distribution, or behind the head of a `DrawPlan`.

    Args:
      table: the constants of the map, from `core.tables`.
    """

    def __init__(self, table: InverseTable) -> None:
        super().__init__()
        self.table = table
        self._last_of_head = float(np.nextafter(table.head_columns, 0.0))
        if table.cuts is not None:
            self.keep("_cuts", table.cuts)
            self.keep("_lines", table.lines)

    def forward(self, uniforms: torch.Tensor, behind: bool = False) -> torch.Tensor:
        """Maps uniforms to ranks.

        Args:
          uniforms: float64 `[n]` in [0, 1).
          behind: whether to draw only ranks behind the head.

        Returns:
          int64 `[n]`.
        """
        table = self.table
        if table.shift is not None:
            offset, scale = self._line(behind)
            grown = torch.exp(uniforms * scale)
            real = (grown if offset == 1.0 else grown * offset) - table.shift
        elif table.cuts is None:
            offset, scale = self._line(behind)
            real = uniforms * scale + offset
        else:
            real = self._by_columns(self._column(uniforms, behind), behind)
        # For a uniform close to 1, rounding may give a rank above the last one.
        return real.clamp(max=float(table.size - 1)).to(torch.int64)

    def _line(self, behind: bool) -> Line:
        return self.table.behind if behind else self.table.whole

    def _by_columns(self, column: torch.Tensor, behind: bool) -> torch.Tensor:
        cuts = self._cuts
        whole = column.floor().clamp(max=len(cuts) - 1.0)
        inside, index = column - whole, whole.to(torch.int64)
        above = (inside >= cuts[index]).to(torch.int64)
        offset, scale = self._lines[2 * index + above].unbind(1)
        # Rounding moves the ends of a segment by some 1e-16 of their rank, but no rank may be
        # below the first one.
        return (offset + inside * scale).clamp(min=float(self.table.head if behind else 0))

    def _column(self, uniforms: torch.Tensor, behind: bool) -> torch.Tensor:
        table = self.table
        offset, scale = self._line(behind)
        if behind:
            return offset + uniforms * scale
        if not table.head_columns:
            return uniforms * scale
        in_head = uniforms * (table.head_columns / table.head_mass)
        in_head = in_head.clamp(max=self._last_of_head)
        after = offset + (uniforms - table.head_mass) * scale
        return torch.where(uniforms < table.head_mass, in_head, after)


class Edges(Constants):
    """Finds the segment of each rank, by a table of 2 KB that the modules of a sampler share."""

    def __init__(self, segments: Segments) -> None:
        super().__init__()
        # Sliced here and not at each use: compiled for a GPU, torch 2.11 ignores the slice.
        self.keep("_later", segments.starts[1:])

    @property
    def device(self) -> torch.device:
        """The device of the constants."""
        device: torch.device = self._later.device
        return device

    def forward(self, ranks: torch.Tensor) -> torch.Tensor:
        """Returns the index of the segment of each rank, int64 of the ranks' shape."""
        if not len(self._later):  # torch 2.11 cannot compile a search in an empty tensor
            return torch.zeros_like(ranks)
        return torch.searchsorted(self._later, ranks, right=True)


class HeadProbs(Constants):
    """Computes the probabilities of the ranks `[0, count)` in one draw, float64 `[count]`.

    They are computed again for each batch, since arrival times need the whole catalog, which would
    take much memory.
    """

    def __init__(self, segments: Segments, count: int, edges: Edges) -> None:
        super().__init__()
        self.segments, self.count, self.edges = segments, count, edges
        self.keep("_probs", segments.probs[segments.starts < count])

    def forward(self, device: torch.device) -> torch.Tensor:
        ranks = torch.arange(self.count, device=device)
        if self.segments.shift is None:
            return self._probs[self.edges(ranks)]
        after = ranks.to(torch.float64) + self.segments.shift
        return torch.log((after + 1.0) / after) / self.segments.log_range
