"""Tests eager draws by NumPy: the same as by PyTorch, and not used if operations are observed."""

import copy

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode

from merlin_popsampler.torch import PopularityBasedSampler, eager
from merlin_popsampler.torch.eager import is_readable
from tests.support.distribution_examples import DISTRIBUTIONS, LARGE
from tests.support.golden_samplers import CASES, sampler_of
from tests.support.torch_draws import TRUE_IDS, drawn_by, make_draws


class Operations(TorchDispatchMode):
    """Records the names of the operations that PyTorch runs."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


def observed(sampler, batches=3):
    with Operations() as operations:
        drawn = drawn_by(sampler, batches)
    assert len(operations.names) > 20 * batches
    return drawn


@pytest.mark.parametrize("unique", [False, True])
@pytest.mark.parametrize("name", sorted(DISTRIBUTIONS))
@pytest.mark.parametrize("num_sampled", [1, 2, 40, 399, 400])
def test_ranks_are_those_of_pytorch(name, num_sampled, unique, monkeypatch):
    draws = make_draws(DISTRIBUTIONS[name], num_sampled, unique)
    places = [torch.tensor((-5, position)).unbind() for position in (0, 7, 2**40, -1, 2**63 - 1)]
    found = [draws(*place) for place in places]
    assert all(ranks.dtype == torch.int64 and ranks.shape == (num_sampled,) for ranks in found)
    monkeypatch.setattr(draws, "draws", None)  # disables the path by NumPy
    expected = [draws.on_device(*place) for place in places]
    assert [ranks.tolist() for ranks in found] == [ranks.tolist() for ranks in expected]


@pytest.mark.parametrize("name", sorted(LARGE))
@pytest.mark.parametrize("num_sampled", [60, 12_000])
def test_ranks_of_large_catalogs_are_those_of_pytorch(name, num_sampled):
    draws = make_draws(LARGE[name], num_sampled, unique=True)
    place = torch.tensor((17, 3)).unbind()
    assert draws(*place).tolist() == draws.on_device(*place).tolist()


@pytest.mark.parametrize("case", CASES)
def test_a_sampler_does_not_change_when_it_is_observed(case):
    """Compares ids, expected counts, and the position in the stream."""
    sampler = sampler_of(PopularityBasedSampler, case)
    other = copy.deepcopy(sampler)
    for one, two in zip(drawn_by(sampler), observed(other)):
        assert one.sampled_ids.tolist() == two.sampled_ids.tolist()
        for found, expected in zip(one[1:], two[1:]):
            assert found.dtype == torch.float32 and found.shape == expected.shape
            np.testing.assert_array_equal(found, expected)
    assert sampler.stream.state.tolist() == other.stream.state.tolist()


def test_a_saved_stream_goes_on_either_way():
    sampler = PopularityBasedSampler(402, 3, 20, 17)
    drawn_by(sampler, 2)
    saved = copy.deepcopy(sampler.state_dict())
    expected = [values.sampled_ids.tolist() for values in drawn_by(sampler, 3)]
    for way in (drawn_by, observed):
        loaded = PopularityBasedSampler(402, 3, 20, 5)
        drawn_by(loaded, 7)
        loaded.load_state_dict(saved)
        assert [values.sampled_ids.tolist() for values in way(loaded, 3)] == expected


def test_long_batches_are_left_to_pytorch(monkeypatch):
    expected = PopularityBasedSampler(402, 3, 20, 17).sample_ids().tolist()
    monkeypatch.setattr("merlin_popsampler.torch.ranks.draw_ranks", None)
    assert PopularityBasedSampler(10**6, 3, 40_000, 17).sample_ids().shape == (40_000,)
    with pytest.raises(TypeError):  # control
        PopularityBasedSampler(402, 3, 20, 17).sample_ids()
    monkeypatch.setattr("merlin_popsampler.torch.ranks.SHORT", 0)
    assert PopularityBasedSampler(402, 3, 20, 17).sample_ids().tolist() == expected
    assert eager.SHORT > 10_000


# ------------------------------------------------------------------ observers


def test_plain_tensors_are_readable():
    with torch.inference_mode():
        assert is_readable(torch.ones(1))
    assert is_readable(torch.ones(2)[0])


def test_what_is_not_readable():
    assert not is_readable(torch.ones(1, device="meta"))
    assert not is_readable(torch.nn.Parameter(torch.ones(1)))
    with FakeTensorMode() as mode:
        fake = mode.from_tensor(torch.ones(1))
    assert not is_readable(fake)
    with Operations():
        assert not is_readable(torch.ones(1))


def test_transforms_are_left_to_pytorch():
    seen = []

    def look(x):
        seen.append(is_readable(x) or is_readable(torch.ones(1)))
        return x.sum()

    torch.vmap(look)(torch.ones(2, 3))
    torch.func.grad(look)(torch.ones(3))
    torch.func.functionalize(look)(torch.ones(3))
    torch.jit.trace(look, torch.ones(3), check_trace=False)
    torch.compile(look, backend="eager", fullgraph=True)(torch.ones(3))
    assert seen == [False] * 5


def traced_by_make_fx(sampler):
    return make_fx(lambda ids: sampler(ids).sampled_ids)(TRUE_IDS)


def traced_by_jit(sampler):
    return torch.jit.trace(lambda ids: sampler(ids).sampled_ids, TRUE_IDS, check_trace=False)


@pytest.mark.parametrize("trace", [traced_by_make_fx, traced_by_jit])
def test_a_trace_holds_no_ids(trace):
    """A trace draws the next batch at each call, as the sampler does."""
    expected = PopularityBasedSampler(402, 3, 20, 17)
    traced = trace(PopularityBasedSampler(402, 3, 20, 17))
    batches = [values.sampled_ids.tolist() for values in drawn_by(expected, 3)]
    assert [traced(TRUE_IDS).tolist() for _ in range(2)] == batches[1:]


def test_a_trace_by_jit_has_the_same_expected_counts():
    sampler, ids = PopularityBasedSampler(10**6 + 2, 3, 100), torch.arange(3, 10**6 + 3, 7)
    traced = torch.jit.trace(lambda x: sampler.expected_count(x) + 0.0, ids[:5], check_trace=False)
    assert torch.equal(traced(ids), sampler.expected_count(ids))
