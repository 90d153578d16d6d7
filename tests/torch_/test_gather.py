"""Tests in-batch negatives of all ranks: two processes equal one with the joined batch."""

import copy

import numpy as np
import pytest
import torch
from torch import distributed

from merlin_popsampler import PopSamplerError
from merlin_popsampler.torch import InBatch, PopularityBasedSampler
from tests.support.joined_batch import CASES, COUNTS, SPLITS, TwoTowers, loss_and_gradients
from tests.support.processes import run_two_ranks
from tests.support.sharded import one_rank

RANKS = """
import copy
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel
from merlin_popsampler.torch import InBatch, PopularityBasedSampler
from tests.support.joined_batch import CASES, COUNTS, SPLITS, TwoTowers, batch, loss_and_gradients


def own_rows(split):
    first, second = SPLITS[split]
    return slice(0, first) if rank == 0 else slice(first, first + second)


def trained(case, split, sharded=False, **settings):
    model = TwoTowers(case, gather=True, **settings)
    if sharded:
        fully_shard(model, mesh=distributed.init_device_mesh("cpu", (2,)))
    else:
        model = DistributedDataParallel(model)
    return loss_and_gradients(model, own_rows(split))


answer = {"cases": {case: trained(case, "unequal") for case in CASES}}
answer["splits"] = {split: trained("mixture", split) for split in SPLITS}
answer["sharded"] = trained("mixture", "unequal", sharded=True)
group = [distributed.new_group([each]) for each in (0, 1)][rank]
model = copy.deepcopy(TwoTowers("in-batch", gather=True, process_group=group))
answer["alone in a group"] = loss_and_gradients(model, own_rows("unequal"))

# A rank that evaluates or logs alone does not wait for the other.
model = TwoTowers("mixture", gather=True)
if rank == 1:
    model.eval()(*batch())
    with torch.no_grad():
        model.train()(*batch())

both = distributed.new_group([0, 1])
draws = {}
for name, process_group in {"own group": group, "both": both}.items():
    sampler = PopularityBasedSampler(
        402, 3, 20, 17, share_across_replicas=True, process_group=process_group
    )
    draws[name] = copy.deepcopy(sampler).sample_ids().tolist()
draws["own"] = PopularityBasedSampler(402, 3, 20, 17).sample_ids().tolist()
answer["draws"] = draws
other = distributed.new_group([1])
if rank == 0:
    try:
        InBatch.from_counts(COUNTS, gather=True, process_group=other)
    except ValueError as error:
        answer["no member"] = str(error)
"""

COMPILED = """
from torch.nn.parallel import DistributedDataParallel
from tests.support.joined_batch import TwoTowers, loss_and_gradients

model = DistributedDataParallel(TwoTowers("in-batch", gather=True))
compiled = torch.compile(model, backend="aot_eager")
for step in range(4):
    torch._dynamo.config.error_on_recompile = step > 1
    model.zero_grad()
    answer = loss_and_gradients(compiled, slice(0, 4) if rank == 0 else slice(4, 6))
"""


@pytest.fixture(scope="module")
def of_ranks(tmp_path_factory):
    return run_two_ranks(RANKS, tmp_path_factory.mktemp("gather"))


def check(found, expected):
    """Checks that averaged gradients and the mean of the losses equal those of one process."""
    loss, gradients = expected
    assert np.mean([loss for loss, _ in found]) == pytest.approx(loss, rel=1e-6)
    for _, own in found:
        for one, other in zip(own, gradients):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_two_ranks_train_as_one_process_on_the_joined_batch(of_ranks, case):
    """Vectors of the item tower get gradients from rows of both ranks."""
    expected = loss_and_gradients(TwoTowers(case), slice(0, 6))
    check([answer["cases"][case] for answer in of_ranks], expected)


@pytest.mark.parametrize("split", SPLITS)
def test_ranks_with_unequal_numbers_of_rows(of_ranks, split):
    """A rank may have no rows, or rows without an item, which do not enter the loss."""
    expected = loss_and_gradients(TwoTowers("mixture"), slice(0, sum(SPLITS[split])))
    check([answer["splits"][split] for answer in of_ranks], expected)


def test_parameters_that_are_sharded(of_ranks):
    expected = loss_and_gradients(TwoTowers("mixture"), slice(0, 6))
    check([answer["sharded"] for answer in of_ranks], expected)


def test_the_check_rejects_ranks_that_do_not_gather(of_ranks):
    """Negative control: each rank is in a group of its own."""
    expected = loss_and_gradients(TwoTowers("in-batch"), slice(0, 4))
    check([of_ranks[0]["alone in a group"]], expected)
    joined = loss_and_gradients(TwoTowers("in-batch"), slice(0, 6))
    with pytest.raises(AssertionError):
        check([answer["alone in a group"] for answer in of_ranks], joined)


def test_the_ranks_of_a_group_draw_alike(of_ranks):
    first, second = (answer["draws"] for answer in of_ranks)
    assert first["both"] == second["both"] == first["own"]
    assert first["own group"] == first["own"]
    assert second["own group"] == second["own"] != first["own"]


def test_a_group_without_this_rank_is_refused(of_ranks):
    assert "on a rank of `ranks`" in of_ranks[0]["no member"]


@pytest.mark.parametrize("initialized", [False, True])
def test_one_process_gathers_nothing(initialized):
    expected = loss_and_gradients(TwoTowers("mixture"), slice(0, 6))
    if not initialized:
        assert loss_and_gradients(TwoTowers("mixture", gather=True), slice(0, 6)) == expected
        return
    with one_rank():
        settings = {"gather": True, "process_group": distributed.group.WORLD}
        model = copy.deepcopy(TwoTowers("mixture", **settings))
        assert loss_and_gradients(model, slice(0, 6)) == expected


def test_a_process_group_without_a_use_is_refused():
    with one_rank():
        group = distributed.group.WORLD
        with pytest.raises(PopSamplerError, match="Pass gather=True with it"):
            InBatch.from_counts(COUNTS, process_group=group)
        with pytest.raises(PopSamplerError, match="share_across_replicas=True with it"):
            PopularityBasedSampler(14, 3, 5, process_group=group)
    with pytest.raises(PopSamplerError, match="has this process as a member"):
        InBatch.from_counts(COUNTS, gather=True, process_group=[0, 1])


def test_it_is_compiled_in_parts():
    """Gathering rows breaks the graph; the rest of the model is compiled."""
    torch.compiler.reset()
    expected = loss_and_gradients(TwoTowers("mixture"), slice(0, 6))
    model = TwoTowers("mixture", gather=True)
    compiled = torch.compile(model, backend="aot_eager")
    loss, gradients = loss_and_gradients(compiled, slice(0, 6))
    check([(loss, gradients)], expected)


def test_two_ranks_compile_once(tmp_path):
    """Regression: each step compiled the calls of collectives again, up to PyTorch's limit."""
    expected = loss_and_gradients(TwoTowers("in-batch"), slice(0, 6))
    check(run_two_ranks(COMPILED, tmp_path), expected)
