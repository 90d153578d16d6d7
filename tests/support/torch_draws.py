"""Draws batches by PyTorch: many at once by modules, one by one by samplers."""

import numpy as np
import torch

from merlin_popsampler.core import draws
from merlin_popsampler.torch import ranks
from merlin_popsampler.torch.inverse_cdf import Edges
from tests.support.golden_samplers import BATCHES

TRUE_IDS = torch.tensor([[3, 4], [402, 0]])


def make_draws(distribution, num_sampled, unique):
    """Returns the module by which a sampler draws."""
    description = draws.make_draws(distribution, num_sampled, unique)
    return ranks.draws_on_device(description, Edges(distribution.segments))


def way(kind, distribution, num_sampled):
    """Returns a module of one of the classes that draw distinct ranks."""
    return kind(draws.make_draws(distribution, num_sampled), Edges(distribution.segments))


def batches_of(module, count, key=11):
    """Returns `count` consecutive batches of a module of `ranks`, `[count, num_sampled]`."""
    positions = torch.arange(count)
    return torch.vmap(module, in_dims=(None, 0))(torch.tensor(key), positions).numpy()


def batch_of(module, key=5, position=0):
    return module(torch.tensor(key), torch.tensor(position)).numpy()


def drawn_by(function, batches=BATCHES, device="cpu"):
    """Returns the results of repeated calls on `TRUE_IDS`."""
    true_ids = TRUE_IDS.to(device)
    return [function(true_ids) for _ in range(batches)]


def assert_expected_counts(found, expected, rtol):
    """Asserts that expected counts are float32 and close to the reference, on any device."""
    for values, others in zip(found, expected):
        for expected_counts, other_expected_counts in zip(values[1:], others[1:]):
            assert expected_counts.dtype == torch.float32
            np.testing.assert_allclose(
                expected_counts.cpu(), other_expected_counts.cpu(), rtol=rtol
            )
