"""Batches of draws by PyTorch: of modules, many at once, and of samplers, one after the other."""

import numpy as np
import torch

from merlin_popsampler.torch import ranks
from merlin_popsampler.torch.inverse import Edges
from tests.support.golden_samplers import BATCHES

TRUE_IDS = torch.tensor([[3, 4], [402, 0]])


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


def drawn_by(function, batches=BATCHES, device="cpu"):
    """What a sampler, or something made of one, answers for `TRUE_IDS`, time after time."""
    true_ids = TRUE_IDS.to(device)
    return [function(true_ids) for _ in range(batches)]


def assert_prices(found, expected, rtol):
    """The prices of batches are float32 and near those of others, on whatever device."""
    for values, others in zip(found, expected):
        for prices, other_prices in zip(values[1:], others[1:]):
            assert prices.dtype == torch.float32
            np.testing.assert_allclose(prices.cpu(), other_prices.cpu(), rtol=rtol)
