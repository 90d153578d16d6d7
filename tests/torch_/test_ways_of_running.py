"""Tests equal draws when compiled, exported, in mixed precision or on another device."""

import copy

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from merlin_popsampler.distributions import Empirical, LogUniform, PopularityCurve
from merlin_popsampler.torch import AllItems, InBatch, PopularityBasedSampler, SampledSoftmaxLoss
from merlin_popsampler.torch.constants import Constants
from tests.support.golden_samplers import CASES, GOLDEN, sampler_of, summary
from tests.support.torch_draws import TRUE_IDS, assert_expected_counts, drawn_by


def assert_same(found, expected):
    for values, others in zip(found, expected):
        assert values.sampled_ids.tolist() == others.sampled_ids.tolist()
    assert_expected_counts(found, expected, rtol=1e-6)


@pytest.fixture(scope="module")
def compiled_case():
    """Returns the one case that is fully compiled, which takes half a minute."""
    sampler = sampler_of(PopularityBasedSampler, "log-uniform, 1000 of 1e6")
    return torch.compile(sampler, fullgraph=True), copy.deepcopy(sampler)


def test_compiled_draws_are_tensorflow_s_and_eager_mode_s(compiled_case):
    compiled, eager = compiled_case
    found = drawn_by(compiled)
    expected = GOLDEN["log-uniform, 1000 of 1e6"]
    assert [summary(values.sampled_ids.numpy()) for values in found] == expected
    assert_same(found, drawn_by(eager))
    assert compiled.stream.state.tolist() == eager.stream.state.tolist()


def test_one_compilation_is_enough(compiled_case):
    compiled, _ = compiled_case
    compiled(TRUE_IDS)
    with torch.compiler.set_stance("fail_on_recompile"):
        for _ in range(3):
            compiled(TRUE_IDS)


OTHER_WAYS = [
    "log-uniform, 390 of 400, a race",
    "measured, 20000 of 1e6, a head",
    "measured to the power 0.75, 1000 of 1e6, repeated",
]


@pytest.mark.parametrize("case", OTHER_WAYS)
def test_every_way_of_drawing_is_one_graph(case):
    """Traces and functionalizes the draws, and runs them without generated code."""
    torch.compiler.reset()
    sampler = sampler_of(PopularityBasedSampler, case)
    eager = copy.deepcopy(sampler)
    compiled = torch.compile(sampler, fullgraph=True, backend="aot_eager")
    found = drawn_by(compiled)
    assert [summary(values.sampled_ids.numpy()) for values in found] == GOLDEN[case]
    assert_same(found, drawn_by(eager))


def test_the_number_of_samples_may_change_after_compilation():
    torch.compiler.reset()
    sampler = PopularityBasedSampler(402, 3, 20, 17)
    compiled = torch.compile(sampler, fullgraph=True, backend="aot_eager")
    assert len(compiled(TRUE_IDS).sampled_ids) == 20
    sampler.set_max_num_samples(7)
    assert len(compiled(TRUE_IDS).sampled_ids) == 7
    assert sampler.stream.state[0] == 2


def test_compiled_samplers_without_a_seed_ask_for_one_each():
    """The second sampler shares compiled code with the first, but not the key."""
    torch.compiler.reset()
    drawn = []
    for seed in (5, 6):
        torch.manual_seed(seed)
        sampler = PopularityBasedSampler(402, 3, 20)
        compiled = torch.compile(sampler, fullgraph=True, backend="aot_eager")
        drawn.append([values.sampled_ids.tolist() for values in drawn_by(compiled)])
        twin = PopularityBasedSampler(402, 3, 20, seed)
        assert drawn[-1] == [values.sampled_ids.tolist() for values in drawn_by(twin)]
    assert drawn[0] != drawn[1]


@pytest.mark.parametrize("case", ["log-uniform, 1000 of 1e6", "measured, 20000 of 1e6, a head"])
def test_exported_programs_draw_on(case):
    sampler = sampler_of(PopularityBasedSampler, case)
    program = torch.export.export(copy.deepcopy(sampler), (TRUE_IDS,)).module()
    assert_same(drawn_by(program), drawn_by(sampler))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_changes_nothing(dtype):
    sampler = PopularityBasedSampler(10**6 + 2, 3, 1000, 17)
    expected = drawn_by(copy.deepcopy(sampler))
    with torch.autocast("cpu", dtype=dtype):
        assert_same(drawn_by(sampler), expected)


CASTS = {
    "half": lambda module: module.half(),
    "double": lambda module: module.double(),
    "to": lambda module: module.to(torch.bfloat16),
}


@pytest.mark.parametrize("cast", CASTS)
@pytest.mark.parametrize("case", ["log-uniform, 1000 of 1e6", "measured, 20000 of 1e6, a head"])
def test_casts_of_a_model_leave_its_sampler_alone(cast, case):
    sampler = sampler_of(PopularityBasedSampler, case)
    expected = drawn_by(copy.deepcopy(sampler))
    CASTS[cast](torch.nn.Sequential(sampler, torch.nn.Linear(2, 2)))
    assert_same(drawn_by(sampler), expected)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_default_dtype_changes_nothing(dtype):
    expected = drawn_by(PopularityBasedSampler(402, 3, 20, 17))
    torch.set_default_dtype(dtype)
    try:
        assert_same(drawn_by(PopularityBasedSampler(402, 3, 20, 17)), expected)
    finally:
        torch.set_default_dtype(torch.float32)


def test_inference_mode():
    """The stream is the same if modules are created or draw inside or outside of it."""
    expected = [values.sampled_ids.tolist() for values in drawn_by(fresh())]
    outside = fresh()
    with torch.inference_mode():
        inside = fresh()
        inside.set_max_num_samples(20)
        first = [sampler(TRUE_IDS).sampled_ids.tolist() for sampler in (inside, outside)]
    for sampler, ids in zip((inside, outside), first):
        loss = SampledSoftmaxLoss(copy.deepcopy(sampler))
        loss(
            torch.ones(4, 2, requires_grad=True), TRUE_IDS.reshape(-1), torch.ones(403, 2)
        ).backward()
        following = [values.sampled_ids.tolist() for values in drawn_by(sampler, 2)]
        assert [ids, *following] == expected


def test_no_gradient_comes_from_a_expected_count():
    values = fresh()(TRUE_IDS)
    assert not any(tensor.requires_grad for tensor in values)
    assert fresh().expected_count(TRUE_IDS).grad_fn is None


def fresh():
    return PopularityBasedSampler(402, 3, 20, 17)


class Watch(TorchDispatchMode):
    """Records operations that make the host wait, or that copy to a device.

    `lift_fresh` is what `torch.tensor` of numbers of the host does.
    """

    def __init__(self):
        super().__init__()
        self.waits = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        tags = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
        waits = tags & set(func.tags) or "lift_fresh" in str(func)
        if (
            func is torch.ops.aten.index.Tensor
        ):  # indexing by a mask has a shape that the host does not know
            waits = any(index is not None and index.dtype == torch.bool for index in args[1])
        if waits:
            self.waits.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("case", CASES)
def test_a_draw_waits_for_nothing(case):
    sampler = sampler_of(PopularityBasedSampler, case)
    with Watch() as watch:
        sampler(TRUE_IDS)
    assert watch.waits == []


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x.nonzero(),
        lambda x: x[x > 1],
        lambda x: int(x[0]),
        lambda x: x.unique(),
        lambda x: x[torch.tensor(1)],
    ],
    ids=["nonzero", "mask", "item", "unique", "constant"],
)
def test_what_waits_is_seen(wait):
    with Watch() as watch:
        wait(TRUE_IDS[0])
    assert watch.waits


@pytest.mark.parametrize("case", CASES)
def test_a_module_goes_to_another_device_whole(case):
    """`meta` refuses to mix with what stayed behind, and to tell a value."""
    sampler = sampler_of(PopularityBasedSampler, case).to("meta")
    values = sampler(TRUE_IDS.to("meta"))
    assert values.sampled_ids.device.type == "meta"
    assert values.sampled_ids.shape == (sampler.max_num_samples,)
    sampler.set_max_num_samples(5)
    assert sampler.sample_ids().device.type == "meta"


@pytest.mark.parametrize("source", ["sampler", "mapped", "mixture", "all items"])
def test_a_loss_on_the_meta_device_has_shapes_alone(source):
    """Regression: PyTorch has no autocast there. Counters of operations run models so."""
    with torch.device("meta"):
        counts = {1: 2, 2: 9, 3: 5} if source == "mapped" else {1: 9, 2: 5, 3: 2}
        negatives = PopularityBasedSampler.from_counts(counts, max_num_samples=2)
        if source == "mixture":
            negatives = [negatives, InBatch.from_counts(counts)]
        if source == "all items":
            negatives = AllItems(3, 1)
        loss, table = SampledSoftmaxLoss(negatives, reduction="none"), torch.nn.Embedding(4, 8)
    queries = torch.empty(2, 5, 8, device="meta", requires_grad=True)
    true_ids = torch.empty(2, 5, dtype=torch.int64, device="meta")
    losses = loss(queries, true_ids, table)
    losses.sum().backward()
    for found in (losses, *loss.evaluate(queries, true_ids, table)):
        assert found.is_meta
        assert found.shape == (2, 5)
    assert queries.grad.is_meta
    assert queries.grad.shape == queries.shape


def test_deterministic_algorithms():
    torch.use_deterministic_algorithms(True)
    try:
        sampler = sampler_of(PopularityBasedSampler, "measured, 20000 of 1e6, a head")
        found = [summary(values.sampled_ids.numpy()) for values in drawn_by(sampler)]
    finally:
        torch.use_deterministic_algorithms(False)
    assert found == GOLDEN["measured, 20000 of 1e6, a head"]


@pytest.mark.parametrize("num_sampled", [1000, 100_000])
@pytest.mark.parametrize("distribution", ["log_uniform", "measured"])
def test_the_state_is_small_at_a_billion_items(distribution, num_sampled):
    distribution = LogUniform(10**9) if distribution == "log_uniform" else Empirical(billion())
    sampler = PopularityBasedSampler(10**9 + 2, 3, num_sampled, 17, distribution=distribution)
    drawn = sampler.sample_ids()
    assert len(drawn.unique()) == num_sampled
    parts = [part for part in sampler.modules() if isinstance(part, Constants)]
    arrays = [array for part in parts for array in part.arrays.values()]
    assert 0 < sum(array.nbytes for array in arrays) < 128 * 1024
    assert sum(buffer.numel() for buffer in sampler.buffers()) == 0
    assert sum(value.numel() * value.element_size() for value in sampler.state_dict().values()) < 64


def billion():
    """Returns a Zipf curve of 256 steps, which hold from one item to half the catalog."""
    starts = np.unique(np.geomspace(1, 10**9, 300).astype(np.int64))[:256] - 1
    ends = np.append(starts[1:], 10**9)
    masses = (np.log(ends + 1) - np.log(starts + 1)) * 10**12
    return PopularityCurve(starts, masses.astype(np.int64), 10**9)
