"""Batches of draws by PyTorch, many at once."""

import torch


def batches_of(draws, count, key=11):
    """`count` consecutive batches of a module of `ranks`, `[count, num_sampled]`."""
    positions = torch.arange(count)
    return torch.vmap(draws, in_dims=(None, 0))(torch.tensor(key), positions).numpy()


def batch_of(draws, key=5, position=0):
    return draws(torch.tensor(key), torch.tensor(position)).numpy()
