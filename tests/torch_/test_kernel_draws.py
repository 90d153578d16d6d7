"""One kernel draws in the place of PyTorch's operations, where both are known to agree."""

import copy
import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode

from merlin_popsampler.distributions import LogUniform, Uniform
from merlin_popsampler.torch import PopularityBasedSampler, SampledSoftmaxLoss, kernel_draws
from tests.support.golden_samplers import sampler_of
from tests.support.torch_draws import TRUE_IDS, drawn_by

ROOT = Path(__file__).parents[2]
SMALL = "log-uniform, 20 of 400"


def test_the_kernel_by_the_interpreter():
    """Ids equal to the reference's, and expected counts."""
    pytest.importorskip("triton")
    env = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": ""}
    module = Path(__file__).with_name("interpreted.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(module)]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout[-4000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 20


LAUNCHED = {
    "uniform": (80, lambda: sampler_of(PopularityBasedSampler, "uniform, 1000 of 1e6")),
    "mapped ids": (90, lambda: mapped(20)),
    "log-uniform, a short one": (80, lambda: sampler_of(PopularityBasedSampler, SMALL)),
    "log-uniform": (90, lambda: sampler_of(PopularityBasedSampler, "log-uniform, 1000 of 1e6")),
}


def mapped(num_sampled):
    ids = np.random.default_rng(5).permutation(5000)
    counts = ids, 10**7 // np.arange(10, 5010)
    return PopularityBasedSampler.from_counts(counts, max_num_samples=num_sampled)


@pytest.fixture(params=LAUNCHED)
def launched(request, tmp_path, monkeypatch):
    """A sampler, and the list of the kernels that it launches, on a GPU that need not be there."""
    pytest.importorskip("triton")
    from triton.backends.compiler import GPUTarget
    from triton.runtime import driver

    from merlin_popsampler.torch.draw_kernel import draw_batch

    capability, make = LAUNCHED[request.param]
    device = SimpleNamespace(
        get_current_device=lambda: 0,
        get_current_stream=lambda _: 0,
        get_current_target=lambda: GPUTarget("cuda", capability, 32),
    )
    found, run = [], draw_batch.run
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(driver, "_active", device)
    monkeypatch.setattr(draw_batch, "device_caches", defaultdict(draw_batch.create_binder))
    monkeypatch.setattr(
        draw_batch, "run", lambda *args, **how: found.append(run(*args, **{**how, "warmup": True}))
    )
    return make(), found, capability


def test_machine_code(launched):
    """All up to the launch; one kernel for all keys and numbers of positives."""
    sampler, found, capability = launched
    true_ids = torch.arange(5000)
    for number, ids in enumerate(
        (true_ids[:7], true_ids[:1], true_ids[:0], true_ids[1:], true_ids)
    ):
        taken = torch.tensor([number, 0, 17])
        sampler._kernel(sampler.domain, taken[2], taken[0], ids)
    assert len({id(kernel) for kernel in found}) == 1
    kernel = found[0]
    assert len(kernel.asm["cubin"]) > 10_000
    code = kernel.asm["ptx"]
    assert f".target sm_{capability}" in code
    # What a thread wrote is read by another one, so through no cache for constants.
    assert "bar.sync" in code and ".nc" not in code
    if sampler._kernel.variant[1] != "exponential":  # whose `exp` is the library's
        assert "fma.rn.f64" not in code


# ------------------------------------------------------------------ when it is used


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    monkeypatch.setattr(kernel_draws, "DEVICE", "cpu")
    monkeypatch.setattr(kernel_draws, "_usable", {})
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    monkeypatch.setattr(kernel_draws, "find_spec", lambda name: name)


class Kernel:
    """Stands in for the kernel: what the operations compute, then changed."""

    def __init__(self, sampler, change=lambda ids, counts: (ids, counts)):
        self.sampler, self.change, self.calls = sampler, change, 0

    def __call__(self, domain, *place):
        assert domain is self.sampler.domain
        self.calls += 1
        return self.change(*self.sampler._by_operations(*place))


def with_kernel(*change, case=SMALL):
    sampler = sampler_of(PopularityBasedSampler, case)
    sampler._kernel.forward = Kernel(sampler, *change)
    return sampler, sampler._kernel.forward


def assert_same(found, expected):
    for values, others in zip(found, expected):
        assert all(torch.equal(one, other) for one, other in zip(values, others))


def drawn_by_operations(case=SMALL):
    sampler = sampler_of(PopularityBasedSampler, case)
    sampler._kernel.is_possible = False
    return drawn_by(sampler)


def test_a_kernel_that_agrees_draws(as_on_a_gpu):
    sampler, kernel = with_kernel()
    assert_same(drawn_by(sampler), drawn_by_operations())
    assert kernel.calls == kernel_draws.BATCHES + 3
    assert sampler.stream.state[0] == 3
    sampler.sample_ids()
    assert kernel.calls == kernel_draws.BATCHES + 4
    assert sampler.stream.state[0] == 4


def raising(ids, counts):
    raise RuntimeError("no compiler")


BATCHES_THAT_DIFFER = f"Received: 8 of {kernel_draws.BATCHES} batches that differ"
WRONG = {
    "ids": (lambda ids, counts: (ids + 1, counts), BATCHES_THAT_DIFFER),
    "order": (lambda ids, counts: (ids.flip(0), counts), BATCHES_THAT_DIFFER),
    "counts": (lambda ids, counts: (ids, counts * 1.0001), BATCHES_THAT_DIFFER),
    "the last count": (
        lambda ids, counts: (ids, counts.index_fill(0, LAST, 2.0)),
        BATCHES_THAT_DIFFER,
    ),
    "nan": (lambda ids, counts: (ids, counts * torch.nan), BATCHES_THAT_DIFFER),
    "an error": (raising, "Received: RuntimeError: no compiler"),
}
LAST = torch.tensor(-1)


@pytest.mark.parametrize("wrong", WRONG)
def test_a_kernel_that_is_wrong_warns_once_and_is_left(wrong, as_on_a_gpu):
    change, said = WRONG[wrong]
    sampler, kernel = with_kernel(change)
    with pytest.warns(UserWarning, match="to agree with PyTorch's operations on cpu") as caught:
        found = drawn_by(sampler)
    assert [said in str(warning.message) for warning in caught] == [True]
    assert_same(found, drawn_by_operations())
    assert kernel.calls == (1 if wrong == "an error" else kernel_draws.BATCHES)
    another, kernel = with_kernel(change)  # of the same variant
    assert_same(drawn_by(another), drawn_by_operations())
    assert kernel.calls == 0


@pytest.mark.parametrize("differing", [1, 2])
def test_the_last_bit_of_exp_may_move_an_id(differing, as_on_a_gpu, recwarn):
    sampler, kernel = with_kernel(lambda ids, counts: (ids + (kernel.calls <= differing), counts))
    assert_same(drawn_by(sampler), drawn_by_operations())
    assert len(recwarn) == (differing > 1)
    assert kernel.calls == kernel_draws.BATCHES + (0 if differing > 1 else 3)


def test_each_variant_is_compared(as_on_a_gpu):
    """Samplers of one variant and device share the comparison."""
    for case in (SMALL, "measured, 1000 of 1e6", SMALL):
        sampler, kernel = with_kernel(case=case)
        assert_same(drawn_by(sampler, 1), drawn_by_operations(case))
    assert kernel.calls == 1
    assert len(kernel_draws._usable) == 2


@pytest.mark.parametrize("missing", ["triton", "an NVIDIA GPU"])
def test_where_there_is_nothing_to_compile_with(missing, as_on_a_gpu, monkeypatch, recwarn):
    if missing == "triton":
        monkeypatch.setattr(kernel_draws, "find_spec", lambda name: None)
    else:
        monkeypatch.setattr(torch.version, "hip", "6.2")
    sampler, kernel = with_kernel()
    assert_same(drawn_by(sampler), drawn_by_operations())
    assert kernel.calls == len(recwarn) == 0


def test_a_captured_stream_is_left_to_pytorch(as_on_a_gpu, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    sampler, kernel = with_kernel()
    assert_same(drawn_by(sampler), drawn_by_operations())
    assert kernel.calls == 0


def refused(ids, counts):
    raise AssertionError("the kernel was called")


class Mode(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


def in_a_mode(sampler):
    with Mode():
        return sampler(TRUE_IDS)


OBSERVERS = {
    "compiled": lambda sampler: torch.compile(sampler, backend="aot_eager", fullgraph=True)(
        TRUE_IDS
    ),
    "exported": lambda sampler: torch.export.export(sampler, (TRUE_IDS,)).module()(TRUE_IDS),
    "in a mode": in_a_mode,
    "make_fx": lambda sampler: make_fx(sampler)(TRUE_IDS)(TRUE_IDS),
    "vmap": lambda sampler: torch.vmap(sampler, randomness="different")(TRUE_IDS),
    "traced": lambda sampler: torch.jit.trace(sampler, TRUE_IDS, check_trace=False)(TRUE_IDS),
}


@pytest.mark.parametrize("observer", OBSERVERS)
def test_who_observes_sees_operations(observer, as_on_a_gpu, recwarn):
    torch.compiler.reset()
    sampler, _ = with_kernel(refused)
    kernel_draws._usable[(torch.device("cpu"), *sampler._kernel.variant)] = True
    with pytest.raises(AssertionError, match="the kernel was called"):
        sampler(TRUE_IDS)  # the control
    OBSERVERS[observer](copy.copy(sampler))
    assert not any("to agree with" in str(warning.message) for warning in recwarn)


class Fixed(PopularityBasedSampler):
    def sample_ids(self):
        return torch.tensor([3, 4])


def test_a_subclass_may_draw_by_itself(as_on_a_gpu):
    sampler = Fixed(402, 3, 2, 17)
    sampler._kernel.forward = Kernel(sampler)
    assert sampler(TRUE_IDS).sampled_ids.tolist() == [3, 4]


class Root(PopularityBasedSampler):
    def expected_count(self, ids):
        return super().expected_count(ids).sqrt()


def loss_with(sampler):
    torch.manual_seed(17)
    items, queries = torch.nn.Embedding(403, 8), torch.randn(len(TRUE_IDS.reshape(-1)), 8)
    return SampledSoftmaxLoss(sampler)(queries, TRUE_IDS.reshape(-1), items)


def test_a_loss_draws_and_corrects_by_one_kernel(as_on_a_gpu):
    lengths = []

    def noted(ids, counts):
        lengths.append(len(counts))
        return ids, counts

    by_kernel = loss_with(with_kernel(noted)[0])
    assert len(lengths) == kernel_draws.BATCHES + 1
    assert lengths[-1] == 20 + TRUE_IDS.numel()
    sampler, _ = with_kernel()
    sampler._kernel.is_possible = False
    assert torch.equal(by_kernel, loss_with(sampler))


def test_a_loss_uses_the_expected_counts_of_a_subclass():
    losses = [loss_with(kind(402, 3, 20, 17)) for kind in (PopularityBasedSampler, Root)]
    assert abs(losses[1] - losses[0]) > 0.1


class Subclass(torch.Tensor):
    """May have no memory of its own."""


def test_ids_of_a_subclass_are_left_to_pytorch(as_on_a_gpu):
    sampler, kernel = with_kernel()
    sampler(TRUE_IDS)
    assert kernel.calls == kernel_draws.BATCHES + 1
    sampler(TRUE_IDS.as_subclass(Subclass))
    assert kernel.calls == kernel_draws.BATCHES + 2  # of sample_ids, which takes none


def test_on_the_cpu_it_is_not_used():
    sampler, kernel = with_kernel(refused)
    assert_same(drawn_by(sampler), drawn_by_operations())
    assert kernel.calls == 0
    assert kernel_draws.DEVICE == "cuda"


def possible(distribution, num_sampled, **settings):
    settings = {"distribution": distribution, **settings}
    sampler = PopularityBasedSampler(distribution.size + 2, 3, num_sampled, **settings)
    return sampler._kernel.is_possible


def test_which_batches_it_draws():
    million = LogUniform(10**6)
    assert possible(million, 2) and possible(million, 1000)
    assert not possible(million, 3000)  # more draws than one program sorts
    assert not possible(million, 1000, unique=False)
    assert not possible(million, 1)
    assert not possible(Uniform(400), 390)  # by arrival times
    assert not possible(million, 20_000)  # with a head
    assert possible(Uniform(2**32), 10) and not possible(Uniform(2**32 + 1), 10)


def test_the_number_of_samples_may_change(as_on_a_gpu):
    sampler = sampler_of(PopularityBasedSampler, SMALL)
    sampler.set_max_num_samples(7)
    assert sampler._kernel.num_sampled == 7
