"""Batches of draws by PyTorch, many at once."""

import torch

from merlin_popsampler.torch import ranks
from merlin_popsampler.torch.inverse import Edges


def draws_of(law, num_sampled, unique):
    """The module that a sampler draws by."""
    return ranks.draws_of(law, num_sampled, unique, Edges(law.pieces))


def way(kind, law, num_sampled):
    """A module of one of the classes that draw distinct ranks."""
    return kind(law, num_sampled, Edges(law.pieces))


def batches_of(draws, count, key=11):
    """`count` consecutive batches of a module of `ranks`, `[count, num_sampled]`."""
    positions = torch.arange(count)
    return torch.vmap(draws, in_dims=(None, 0))(torch.tensor(key), positions).numpy()


def batch_of(draws, key=5, position=0):
    return draws(torch.tensor(key), torch.tensor(position)).numpy()
