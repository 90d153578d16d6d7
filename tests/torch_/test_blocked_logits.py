"""Compares logits in blocks with the whole matrix: losses and gradients, eager or compiled."""

import pytest
import torch

from merlin_popsampler.torch import PopularityBasedSampler, SampledSoftmaxLoss, blocked_logits

IDS = [3, 14, 7, 7, 12, 5, 0]
EXCLUDED = torch.tensor([[4, 14], [0, 0], [3, 7], [5, 9], [8, 0], [13, 6], [3, 4]])


def numbers():
    torch.manual_seed(3)
    return torch.randn(7, 4), torch.tensor(IDS), torch.randn(15, 4)


def loss_of(**settings):
    return SampledSoftmaxLoss(PopularityBasedSampler(14, 3, 8, 17), 0.5, **settings)


def step(way, query, ids, table, **arguments):
    """Returns losses and gradients of the first batch of draws."""
    query, table = query.clone().requires_grad_(), table.clone().requires_grad_()
    losses = way(loss_of(reduction="none"))(query, ids, table, **arguments)
    (losses * torch.linspace(-1, 2, 7)).sum().backward()  # weights, which are applied afterwards
    return losses.detach(), query.grad, table.grad


def plain(loss):
    return loss


def compiled(loss):
    torch.compiler.reset()
    return torch.compile(loss, fullgraph=True, backend="aot_eager")


def by_vmap(loss):
    def lanes(query, ids, table, **arguments):
        call = lambda query: loss(query, ids, table, **arguments)  # noqa: E731
        return torch.func.vmap(call, randomness="same")(query[None])[0]

    return lanes


def in_blocks(monkeypatch, size):
    """Computes matrices in blocks of `size` bytes, if they are larger."""
    monkeypatch.setattr(blocked_logits, "LARGE_BYTES", size)
    monkeypatch.setattr(blocked_logits, "BLOCK_BYTES", size)


@pytest.mark.parametrize("width", [1, 3, 7])
@pytest.mark.parametrize("hard", [None, EXCLUDED + 1], ids=["", "hard"])
@pytest.mark.parametrize("excluded", [None, EXCLUDED], ids=["", "excluded"])
def test_blocks_give_the_numbers_of_the_whole_matrix(monkeypatch, excluded, hard, width):
    arguments = {"excluded_ids": excluded, "hard_negative_ids": hard}
    expected = step(plain, *numbers(), **arguments)
    in_blocks(monkeypatch, 4 * 7 * width)
    found = step(plain, *numbers(), **arguments)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("way", [compiled, by_vmap])
def test_every_way_of_running(monkeypatch, way):
    expected = step(plain, *numbers(), excluded_ids=EXCLUDED)
    in_blocks(monkeypatch, 4 * 7 * 3)
    found = step(way, *numbers(), excluded_ids=EXCLUDED)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_second_derivatives(monkeypatch):
    found = []
    for block in (2**24, 4 * 7 * 3):
        in_blocks(monkeypatch, block)
        query, ids, table = numbers()
        query.requires_grad_(), table.requires_grad_()
        inputs = query, table
        gradients = torch.autograd.grad(loss_of()(query, ids, table), inputs, create_graph=True)
        sum((each**2).sum() for each in gradients).backward()
        found.append((query.grad, table.grad))
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-6)


def test_no_block_is_larger_than_it_may_be(monkeypatch):
    """Neither the matrix of logits nor its mask is ever allocated as a whole."""
    sizes = []
    in_blocks(monkeypatch, 4 * 7 * 3)
    whole = blocked_logits.accidental_hits
    monkeypatch.setattr(
        blocked_logits,
        "accidental_hits",
        lambda *arguments: sizes.append(whole(*arguments).shape) or whole(*arguments),
    )
    step(plain, *numbers())
    assert sizes == 2 * [(7, 3), (7, 3), (7, 2)]
