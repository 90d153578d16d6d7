"""Uniforms to ranks on a device, in float64: the interpreter of `core.tables` and of pieces."""

import numpy as np
import torch

from merlin_popsampler.core.laws import Law
from merlin_popsampler.core.pieces import Pieces
from merlin_popsampler.core.tables import Line, inverse_table

from .constants import Constants


class Inverse(Constants):
    """Turns uniforms into ranks of the whole law, or of those behind a head.

    Args:
      law: the law of one draw.
      head: first rank behind the head; see `inverse_table`.
    """

    def __init__(self, law: Law, head: int = 0) -> None:
        super().__init__()
        table = inverse_table(law, head)
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
        # Rounding moves the ends of a piece by 1e-16 of their rank or so; the first must hold.
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
    """Tells which piece of a law ranks are in; shared by all that asks, since it is 2 KB."""

    def __init__(self, pieces: Pieces) -> None:
        super().__init__()
        # Cut once, not at each use: compiled for a GPU, torch 2.11 searches from the old start.
        self.keep("_later", pieces.starts[1:])

    @property
    def device(self) -> torch.device:
        """Where the constants of a sampler are."""
        device: torch.device = self._later.device
        return device

    def forward(self, ranks: torch.Tensor) -> torch.Tensor:
        """Index of the piece of each rank, int64 of the ranks' shape."""
        if not len(self._later):  # nor does it compile a search among none
            return torch.zeros_like(ranks)
        return torch.searchsorted(self._later, ranks, right=True)


class FirstProbs(Constants):
    """Probability of one draw of each of the ranks `[0, count)`: float64 `[count]`.

    Made anew for each batch: for the race it has the catalog's length.
    """

    def __init__(self, pieces: Pieces, count: int, edges: Edges) -> None:
        super().__init__()
        self.pieces, self.count, self.edges = pieces, count, edges
        self.keep("_probs", pieces.probs[pieces.starts < count])

    def forward(self, device: torch.device) -> torch.Tensor:
        ranks = torch.arange(self.count, device=device)
        if self.pieces.shift is None:
            return self._probs[self.edges(ranks)]
        after = ranks.to(torch.float64) + self.pieces.shift
        return torch.log((after + 1.0) / after) / self.pieces.log_range
