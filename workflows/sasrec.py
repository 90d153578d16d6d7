"""Defines SASRec (Kang, McAuley 2018): self-attention over the items of a sequence.

It differs from the paper as later work does: layers normalize their input, and the loss is a
softmax over items in place of binary cross-entropy.
"""

from typing import Tuple

import torch
from models_torch import places
from torch.nn import functional

LONGEST = 50
"""Number of last items of a sequence that a query reads, as in the paper."""


class SASRec(torch.nn.Module):  # type: ignore[misc]
    """Computes queries of sequences, as the models of `models_torch`.

    In training, it returns a query after each item but the last. Otherwise it returns one query for
    each sequence.

    Args:
      num_items: rows of the item table, which is both read and ranked.
      dim: width of the item vectors.
      layers: number of attention layers.
      heads: number of attention heads, a divisor of `dim`.
      dropout: share of components that are dropped, of the read vectors and after each layer.
    """

    TABLES: Tuple[str, ...] = ("items",)

    def __init__(
        self, num_items: int, dim: int = 64, layers: int = 2, heads: int = 2, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.items = torch.nn.Embedding(num_items, dim)
        self.positions = torch.nn.Embedding(LONGEST, dim)
        for table in (self.items, self.positions):
            torch.nn.init.normal_(table.weight, std=0.02)
        self.layers = torch.nn.ModuleList(_Layer(dim, heads, dropout) for _ in range(layers))
        self.norm = torch.nn.LayerNorm(dim)
        self.dropout = torch.nn.Dropout(dropout)

    def forward(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Computes queries `[queries, dim]` of concatenated sequences with these lengths."""
        sequence, place = places(lengths)
        if self.training:  # the last item is only a positive
            read = place < lengths[sequence] - 1
            ids, sequence, place, lengths = ids[read], sequence[read], place[read], lengths - 1
        from_end = lengths[sequence] - 1 - place
        last = from_end < LONGEST
        start = (lengths - LONGEST).clamp(min=0)
        row, column = sequence[last], (place - start[sequence])[last]
        vectors = self.items(ids[last]) * self.items.embedding_dim**0.5
        vectors = self.dropout(vectors + self.positions(column))
        shape = len(lengths), int(lengths.clamp(max=LONGEST).max()), vectors.shape[1]
        states = vectors.new_zeros(shape).index_put((row, column), vectors)
        for layer in self.layers:
            states = layer(states)
        states = self.norm(states)
        if self.training:
            return states[row, column]
        return states[torch.arange(len(lengths)), lengths.clamp(max=LONGEST) - 1]

    def positives(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Returns the positives of the queries in training: of each query, the next item."""
        sequence, place = places(lengths)
        return ids[(place > 0) & (lengths[sequence] - 1 - place < LONGEST)]


class _Layer(torch.nn.Module):  # type: ignore[misc]
    """Attends to the items up to each place; padding is after a sequence, so nothing reads it."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, torch.nn.Dropout(dropout)
        self.before, self.between = torch.nn.LayerNorm(dim), torch.nn.LayerNorm(dim)
        self.attention = torch.nn.Linear(dim, 3 * dim)
        self.joined = torch.nn.Linear(dim, dim)
        self.wide, self.narrow = torch.nn.Linear(dim, 4 * dim), torch.nn.Linear(4 * dim, dim)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        rows, length, dim = states.shape
        parts = self.attention(self.before(states)).reshape(rows, length, 3, self.heads, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        read = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        joined = self.joined(read.transpose(1, 2).reshape(rows, length, dim))
        states = states + self.dropout(joined)
        hidden = functional.gelu(self.wide(self.between(states)))
        return states + self.dropout(self.narrow(self.dropout(hidden)))
