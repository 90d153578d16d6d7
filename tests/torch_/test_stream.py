"""Tests where a stream starts, what saves it, and which ranks share it."""

import copy
import io
import pickle

import numpy as np
import pytest
import torch

from merlin_popsampler.core.stream_keys import own_bits, seed_key, signed
from merlin_popsampler.distributions import LogUniform
from merlin_popsampler.torch import PopularityBasedSampler
from tests.support.processes import run_two_ranks
from tests.support.torch_draws import batch_of, make_draws


def sampler(seed=17, **settings):
    return PopularityBasedSampler(402, 3, 20, seed, **settings)


def draws(layer, batches=3):
    return [layer.sample_ids().tolist() for _ in range(batches)]


def test_the_stream_is_extra_state_and_not_a_parameter():
    layer = sampler()
    assert list(layer.parameters()) == []
    assert list(layer.state_dict()) == ["stream._extra_state"]
    assert layer.stream.state.tolist() == [0, 0, seed_key(17)]
    draws(layer)
    assert layer.stream.state.tolist() == [3, 0, seed_key(17)]


def test_a_batch_is_that_of_its_key_and_position():
    layer, of_ranks = sampler(), make_draws(LogUniform(400), 20, unique=True)
    for position in range(3):
        expected = batch_of(of_ranks, seed_key(17), position) + 3
        assert layer.sample_ids().tolist() == expected.tolist()


def test_equal_seeds_draw_alike_and_others_do_not():
    seeds = (0, 1, 2, -1, 17, 2**63, 2**64 - 2)
    batches = [draws(sampler(seed), 1)[0] for seed in seeds] + draws(sampler(17), 4)[1:]
    assert len({tuple(batch) for batch in batches}) == len(batches)
    assert draws(sampler(np.int64(17))) == draws(sampler(17))


def test_without_a_seed_the_stream_comes_from_torch_s():
    """The seed is read at the first draw, so it may be set until then."""
    runs = []
    for seed in (5, 5, 6):
        torch.manual_seed(99)
        layer = sampler(None)
        assert layer.stream.state.tolist() == [0, 1, 0]
        torch.manual_seed(seed)
        first = draws(layer, 1)
        torch.manual_seed(7)
        runs.append(first + draws(layer, 2))
        assert layer.stream.state.tolist() == [3, 0, seed_key(seed)]
    assert runs[0] == runs[1] != runs[2]
    assert runs[0] == draws(sampler(5))


def test_drawing_leaves_torch_s_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    draws(sampler(None))
    assert torch.equal(torch.rand(3), expected)


def by_state_dict(layer):
    fresh = sampler(99)
    fresh.load_state_dict(layer.state_dict())
    return fresh


def by_file(layer):
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    fresh = sampler(99)
    fresh.load_state_dict(torch.load(file, weights_only=True))
    return fresh


def by_assignment(layer):
    fresh = sampler(99)
    fresh.load_state_dict(copy.deepcopy(layer.state_dict()), assign=True)
    return fresh


def inside_a_model(layer):
    first, second = (
        torch.nn.Sequential(torch.nn.Linear(2, 2), each) for each in (layer, sampler())
    )
    second.load_state_dict(first.state_dict())
    return second[1]


def in_batches_of_another_size(layer):
    fresh = PopularityBasedSampler(402, 3, 7, 99)
    fresh.load_state_dict(layer.state_dict())
    fresh.set_max_num_samples(20)
    return fresh


RESTORES = [
    by_state_dict,
    by_file,
    by_assignment,
    inside_a_model,
    in_batches_of_another_size,
    copy.deepcopy,
    lambda layer: pickle.loads(pickle.dumps(layer)),
]
NAMES = ["state_dict", "file", "assign", "model", "another size", "deepcopy", "pickle"]


@pytest.mark.parametrize("seed", [17, None])
@pytest.mark.parametrize("restore", RESTORES, ids=NAMES)
def test_a_restored_sampler_draws_on(restore, seed):
    layer = sampler(seed)
    passed = draws(layer)
    fresh = restore(layer)
    following = draws(layer)
    assert draws(fresh) == following
    assert following != passed


@pytest.mark.parametrize("restore", RESTORES[:-2], ids=NAMES[:-2])
def test_a_state_from_before_the_first_draw_has_no_key(restore):
    """A restored sampler then chooses a key of its own, like a new one."""
    fresh = restore(sampler(None))
    assert draws(fresh) == draws(sampler(fresh.seed))


def test_a_copy_has_a_stream_of_its_own():
    layer = sampler()
    twin = copy.deepcopy(layer)
    first = draws(layer)
    assert draws(twin) == first


RANKS = """
from merlin_popsampler.torch import PopularityBasedSampler as P


class Model(torch.nn.Module):
    def __init__(self, **settings):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.sampler = P(402, 3, 20, **settings)

    def forward(self, x):
        return self.layer(x), self.sampler.sample_ids().tolist()


def run(**settings):
    torch.manual_seed(rank)  # as people do, so that each rank has noise of its own
    model = torch.nn.parallel.DistributedDataParallel(Model(**settings))
    batches = []
    for _ in range(3):
        loss, ids = model(torch.ones(1, 1))
        loss.sum().backward()
        batches.append(ids)
    return {"batches": batches, "stream": model.module.sampler.stream.state.tolist()}

answer = {"own": run(seed=17), "shared": run(seed=17, share_across_replicas=True),
          "unseeded": run(seed=None)}
"""


def test_ranks_draw_their_own_ids_from_one_stream(tmp_path):
    """Two processes under DistributedDataParallel, which gives all ranks the buffers of rank 0."""
    first, second = run_two_ranks(RANKS, tmp_path)
    for kind in ("own", "unseeded"):
        drawn = first[kind]["batches"] + second[kind]["batches"]
        assert len({tuple(ids) for ids in drawn}) == 6
    assert first["shared"]["batches"] == second["shared"]["batches"]
    for kind in ("own", "shared"):
        assert first[kind]["stream"] == second[kind]["stream"] == [3, 0, seed_key(17)]
        assert first[kind]["batches"] == draws(sampler())
    own_key = seed_key(17) ^ signed(own_bits(1))
    of_ranks = make_draws(LogUniform(400), 20, unique=True)
    expected = [(batch_of(of_ranks, own_key, i) + 3).tolist() for i in range(3)]
    assert second["own"]["batches"] == expected
