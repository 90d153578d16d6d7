"""Tests tables of another width, and of DTensors: used if gathered, otherwise refused."""

import pytest
import torch
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import Replicate, Shard, distribute_module, distribute_tensor
from torch.distributed.tensor.parallel import RowwiseParallel, parallelize_module

from merlin_popsampler.errors import PopSamplerError
from merlin_popsampler.torch import (
    AllItems,
    PopularityBasedSampler,
    SampledSoftmaxLoss,
    whole_catalog,
)
from tests.support.sharded import one_rank, sharded_by_its_owner

QUERIES, IDS = torch.arange(12.0).reshape(3, 4) / 9, torch.tensor([3, 14, 0])


class Scaled(torch.nn.Embedding):
    def forward(self, ids):
        return 0.5 * super().forward(ids)


@pytest.fixture(name="mesh", scope="module")
def _mesh():
    with one_rank() as mesh:
        yield mesh


def table_of(kind=torch.nn.Embedding):
    torch.manual_seed(5)
    return kind(15, 4)


def answers(table):
    """Returns the losses in training and evaluation, and the gradient of the vectors."""
    loss = SampledSoftmaxLoss(PopularityBasedSampler(14, 3, 5, 17))
    trained = loss(QUERIES, IDS, table)
    trained.backward()
    weight = table if isinstance(table, torch.Tensor) else next(table.parameters())
    gradient = getattr(weight, "grad", None)
    whole = gradient.full_tensor() if hasattr(gradient, "full_tensor") else gradient
    losses, ranks = loss.evaluate(QUERIES, IDS, table)
    return trained.item(), whole, losses, ranks


@pytest.mark.parametrize("kind", [torch.nn.Embedding, Scaled, "in a module"])
@pytest.mark.parametrize("shard", [distribute_module, sharded_by_its_owner])
@pytest.mark.parametrize("evaluating", [False, True])
def test_a_weight_that_nothing_gathers_is_refused(mesh, kind, shard, evaluating):
    """Regression: PyTorch raised "got mixed torch.Tensor and DTensor".

    Cases: modules that are distributed, and those that FSDP2 gathers only in the forward of
    their owner; the plain table, a subclass, and a module around it.
    """
    table = torch.nn.Sequential(table_of()) if kind == "in a module" else table_of(kind)
    table = shard(table, mesh) if shard is distribute_module else shard(mesh, table)
    loss = SampledSoftmaxLoss(PopularityBasedSampler(14, 3, 5, 17))
    with pytest.raises(PopSamplerError, match=r"DTensors where the loss is called .*fully_shard"):
        (loss.evaluate if evaluating else loss)(QUERIES, IDS, table)


@pytest.mark.parametrize("kind", [torch.nn.Embedding, Scaled])
@pytest.mark.parametrize("way", ["fully_shard", "tensor parallel"])
def test_a_weight_that_is_gathered_counts_as_if_it_were_whole(mesh, kind, way):
    expected, table = answers(table_of(kind)), table_of(kind)
    if way == "fully_shard":
        fully_shard(table, mesh=mesh)
    else:
        table = parallelize_module(table, mesh, RowwiseParallel(input_layouts=Replicate()))
    assert hasattr(table.weight, "full_tensor")
    for found, right in zip(answers(table), expected):
        torch.testing.assert_close(found, right)


def test_a_weight_is_made_whole_by_full_tensor(mesh):
    """Follows the advice of the message: the gradient reaches the shards."""
    expected = answers(table_of())
    weight = distribute_tensor(table_of().weight.detach(), mesh, [Shard(0)]).requires_grad_()
    loss = SampledSoftmaxLoss(PopularityBasedSampler(14, 3, 5, 17))
    loss(QUERIES, IDS, weight.full_tensor()).backward()
    torch.testing.assert_close(weight.grad.full_tensor(), expected[1])


@pytest.mark.parametrize("block_bytes", [4 * 3 * 3, 2**26])
@pytest.mark.parametrize("fetch_bytes", [4 * 4 * 5, 2**24])
def test_an_evaluation_calls_a_table_equally_often_for_any_number_of_rows(
    monkeypatch, block_bytes, fetch_bytes
):
    """Regression: ranks with other numbers of rows waited for each other at a sharded table."""
    monkeypatch.setattr(whole_catalog, "BLOCK_BYTES", block_bytes)
    monkeypatch.setattr(whole_catalog, "FETCH_BYTES", fetch_bytes)
    loss, table = SampledSoftmaxLoss(PopularityBasedSampler(14, 3, 5, 17)), table_of()
    calls = []
    table.register_forward_hook(lambda *_: calls.append(1))
    numbers = []
    for rows in (0, 1, 3):
        found = loss.evaluate(QUERIES[:rows], IDS[:rows], table)
        numbers.append(len(calls))
        for part, whole in zip(found, loss.evaluate(QUERIES, IDS, table.weight)):
            torch.testing.assert_close(part, whole[:rows])
        calls.clear()
    assert numbers == [1 + (3 if fetch_bytes < 100 else 1)] * 3


def test_an_error_of_the_tables_own_is_handed_on():
    class Broken(torch.nn.Embedding):
        def forward(self, ids):
            raise RuntimeError("its own")

    with pytest.raises(RuntimeError, match="its own"):
        answers(Broken(15, 4))


@pytest.mark.parametrize("table", [table_of(), table_of(Scaled), torch.ones(15, 4)])
@pytest.mark.parametrize("evaluating", [False, True])
@pytest.mark.parametrize("negatives", [PopularityBasedSampler(14, 3, 5, 17), AllItems(14, 3)])
def test_vectors_of_another_width_than_the_queries_are_refused(table, evaluating, negatives):
    loss = SampledSoftmaxLoss(negatives)
    with pytest.raises(PopSamplerError, match="queries of 5 components, item vectors of 4"):
        (loss.evaluate if evaluating else loss)(torch.ones(3, 5), IDS, table)
