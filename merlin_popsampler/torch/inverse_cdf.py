"""Uniforms to ranks on a device, in float64: the interpreter of `core.tables` and of segments."""

import numpy as np
import torch

from merlin_popsampler.core.distributions import Distribution
from merlin_popsampler.core.segments import Segments
from merlin_popsampler.core.tables import Line, inverse_table

from .constants import Constants


class InverseCDF(Constants):
    """Turns uniforms into ranks of the whole distribution, or of those behind a head.

    Args:
      distribution: the distribution of one draw.
      head: first rank behind the head; see `inverse_table`.
    """

    def __init__(self, distribution: Distribution, head: int = 0) -> None:
        super().__init__()
        table = inverse_table(distribution, head)
        self.table = table
        self._last_of_head = float(np.nextafter(table.head_columns, 0.0))
        if table.cuts is not None:
            self.keep("_cuts", table.cuts)
            self.keep("_lines", table.lines)

    def forward(self, uniforms: torch.Tensor, behind: bool = False) -> torch.Tensor:
        """Ranks, int64 `[n]`, of float64 uniforms `[n]` in [0, 1).

        Args:
          uniforms: the numbers.
          behind: whether the head is left out.
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
        # What rounding makes of u next to 1 is cut before the cast.
        return real.clamp(max=float(table.size - 1)).to(torch.int64)

    def _line(self, behind: bool) -> Line:
        return self.table.behind if behind else self.table.whole

    def _by_columns(self, column: torch.Tensor, behind: bool) -> torch.Tensor:
        cuts = self._cuts
        whole = column.floor().clamp(max=len(cuts) - 1.0)
        inside, index = column - whole, whole.to(torch.int64)
        above = (inside >= cuts[index]).to(torch.int64)
        offset, scale = self._lines[2 * index + above].unbind(1)
        # Rounding moves the ends of a segment by 1e-16 of their rank or so; the first must hold.
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
    """Finds the segment of each rank; one table of 2 KB that several modules share."""

    def __init__(self, segments: Segments) -> None:
        super().__init__()
        # Cut once, not at each use: compiled for a GPU, torch 2.11 searches from the old start.
        self.keep("_later", segments.starts[1:])

    @property
    def device(self) -> torch.device:
        """Where the constants of a sampler are."""
        device: torch.device = self._later.device
        return device

    def forward(self, ranks: torch.Tensor) -> torch.Tensor:
        """Index of the segment of each rank, int64 of the ranks' shape."""
        if not len(self._later):  # nor does it compile a search among none
            return torch.zeros_like(ranks)
        return torch.searchsorted(self._later, ranks, right=True)


class HeadProbs(Constants):
    """Probability of one draw of each of the ranks `[0, count)`: float64 `[count]`.

    Made anew for each batch: for the race it has the catalog's length.
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
