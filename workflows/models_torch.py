"""Defines the models of train_torch.py: those of models.py in PyTorch.

In training, a model returns a query for each item of a session that is a positive, in their order.
Otherwise it returns one query for each session.
"""

from typing import List, Tuple

import numpy as np
import torch
from evaluate import Array, Scorer

from merlin_popsampler import PopularityMetadata

DROPOUT = 0.3


def popular_items(popularity: PopularityMetadata, dim: int) -> torch.nn.Embedding:
    """Builds a table of items, `[cardinality, dim + 1]`, that initially ranks by popularity.

    Its last column holds the logarithms of the shares of the items. The remaining columns start
    near 0. So a model need not learn popularity, also on little data.
    """
    domain = popularity.domain
    items = torch.nn.Embedding(domain.cardinality, dim + 1)
    torch.nn.init.uniform_(items.weight, -0.05, 0.05)
    shares = torch.from_numpy(np.log(popularity.distribution().prob(np.arange(domain.size))))
    with torch.no_grad():
        items.weight[:, -1] = shares[-1]
        items.weight[domain.min_id :, -1] = shares
    return items


class Model(torch.nn.Module):  # type: ignore[misc]
    """Computes queries of sessions; their last component is 1, the factor of log popularity."""

    TABLES: Tuple[str, ...] = ("items",)
    """Names of the tables that have a row for each item."""

    def __init__(self, items: torch.nn.Embedding) -> None:
        super().__init__()
        self.items = items
        self.dropout = torch.nn.Dropout(DROPOUT)

    def forward(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Computes queries `[queries, dim + 1]` of concatenated sessions with these lengths."""
        queries = self.dropout(self.queries(ids, lengths))
        return torch.cat([queries, torch.ones_like(queries[:, :1])], 1)

    def queries(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def positives(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Returns the positives of the queries in training."""
        raise NotImplementedError


class Retrieval(Model):
    """Averages the item vectors of a session; in training, the remaining ones for each item."""

    TABLES = ("items", "read")

    def __init__(self, items: torch.nn.Embedding) -> None:
        super().__init__(items)
        self.read = torch.nn.Embedding(items.num_embeddings, items.embedding_dim - 1)
        torch.nn.init.uniform_(self.read.weight, -0.05, 0.05)

    def queries(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        vectors, (session, _) = self.read(ids), places(lengths)
        sums = vectors.new_zeros(len(lengths), vectors.shape[1]).index_add(0, session, vectors)
        if not self.training:
            return sums / lengths[:, None]
        return (sums[session] - vectors) / (lengths[session] - 1)[:, None]

    def positives(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return ids


class Session(Model):
    """Returns a recurrent state after the last item; in training, after each item before it."""

    def __init__(self, items: torch.nn.Embedding) -> None:
        super().__init__(items)
        dim = items.embedding_dim - 1
        self.reader = torch.nn.GRU(dim, dim)

    def queries(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        session, place = places(lengths)
        vectors = self.items(ids)[:, :-1]
        padded = vectors.new_zeros(int(lengths.max()), len(lengths), vectors.shape[1])
        states, _ = self.reader(padded.index_put((place, session), vectors))
        asking = place < lengths[session] - 1
        asking = asking if self.training else ~asking
        return states[place[asking], session[asking]]

    def positives(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return ids[places(lengths)[1] > 0]


MODELS = {"retrieval": Retrieval, "session": Session}


def places(lengths: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
    """Returns the session of each item, and its position there."""
    session = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
    starts = lengths.cumsum(0) - lengths
    return session, torch.arange(len(session)) - starts[session]


def model_scorer(model: Model) -> Scorer:
    """Returns a scorer of all ids: the product of query and item vectors."""

    def score(queries: List[Array]) -> Array:
        model.eval()
        lengths = torch.tensor([len(ids) for ids in queries])
        with torch.inference_mode():
            vectors = model(torch.from_numpy(np.concatenate(queries)), lengths)
            scores: Array = (vectors @ model.items.weight.T).numpy()
        model.train()
        return scores

    return score
