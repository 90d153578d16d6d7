"""Tests on a GPU: draws, expected counts and scores equal the CPU's, without host syncs."""

import contextlib
import copy
import warnings

import numpy as np
import pytest
import torch

from merlin_popsampler.core import philox as reference
from merlin_popsampler.core.tables import inverse_table
from merlin_popsampler.distributions import LogUniform
from merlin_popsampler.torch import PopularityBasedSampler, SampledSoftmaxLoss, philox
from merlin_popsampler.torch.inverse_cdf import InverseCDF
from tests.support.boundaries import DISTRIBUTIONS, misplaced, real_ranks
from tests.support.golden_samplers import BATCHES, CASES, GOLDEN, sampler_of, summary
from tests.support.torch_draws import TRUE_IDS, assert_expected_counts, drawn_by

pytestmark = pytest.mark.gpu

LARGE = "log-uniform, 20000 of 1e6, a head"


def on_gpu(case, seed=17):
    return sampler_of(PopularityBasedSampler, case, seed).to("cuda")


def summaries(found):
    return [summary(values.sampled_ids.cpu().numpy()) for values in found]


@pytest.mark.parametrize("num", [1, 2, 100_001])
def test_random_bits(num):
    key, position = -5_000_000_007, 2**40 + 3
    found = philox.random_bits(
        torch.tensor(key, device="cuda"), torch.tensor(position, device="cuda"), num
    )
    assert found.cpu().numpy().tolist() == reference.random_bits(key, position, num).tolist()


@pytest.mark.parametrize("case", CASES)
def test_golden_samplers_and_their_expected_counts(case):
    found = drawn_by(on_gpu(case), device="cuda")
    assert {tensor.device.type for values in found for tensor in values} == {"cuda"}
    assert summaries(found) == GOLDEN[case]
    sampler = sampler_of(PopularityBasedSampler, case)
    assert_expected_counts(found, drawn_by(sampler), rtol=1e-5)


def test_another_seed_draws_otherwise():
    assert summaries(drawn_by(on_gpu(LARGE, seed=18), device="cuda")) != GOLDEN[LARGE]


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_no_rank_differs_but_at_a_step(name):
    uniforms = reference.random_uniforms(17, 5, 20_000_000)
    inverse = InverseCDF(inverse_table(DISTRIBUTIONS[name])).to("cuda")
    ranks = inverse(torch.from_numpy(uniforms).to("cuda")).cpu().numpy()
    differing, unexplained = misplaced(ranks, real_ranks(DISTRIBUTIONS[name], uniforms))
    assert unexplained == 0
    assert differing < 200


BY_KERNEL = [
    "log-uniform, 20 of 400",
    "log-uniform, 1000 of 1e6",
    "log-uniform, 1000 of 1e9",
    "uniform, 1000 of 1e6",
    "measured, 1000 of 1e6",
]


@pytest.mark.parametrize("case", BY_KERNEL)
def test_one_kernel_draws_what_the_operations_draw(case):
    sampler = on_gpu(case)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of a kernel that is not used
        assert sampler._is_by_kernel(sampler.stream.device)
    true_ids = torch.arange(-2, 3000, device="cuda")
    differing = 0
    for position in range(200):
        place = torch.tensor((17, position), device="cuda").unbind()
        ids, counts = sampler._kernel(sampler.domain, *place, true_ids)
        expected_ids, expected_counts = sampler._by_operations(*place, true_ids)
        same = torch.equal(ids, expected_ids)
        differing += not same
        assert not same or torch.allclose(counts, expected_counts, rtol=1e-5, atol=0.0)
    assert differing <= 1


def test_ids_in_any_order_by_the_kernel():
    ids = np.random.default_rng(5).permutation(5000)
    counts = (ids, 10**7 // np.arange(10, 5010))
    sampler = PopularityBasedSampler.from_counts(counts, max_num_samples=20, seed=17)
    expected = [sampler.sample_ids().tolist() for _ in range(20)]
    sampler = PopularityBasedSampler.from_counts(counts, max_num_samples=20, seed=17).to("cuda")
    assert sampler._is_by_kernel(sampler.stream.device)
    assert [sampler.sample_ids().tolist() for _ in range(20)] == expected


def test_a_kernel_draws_on_a_stream_of_its_own():
    sampler = on_gpu(BY_KERNEL[1])
    with torch.cuda.stream(torch.cuda.Stream()):
        assert sampler._is_by_kernel(sampler.stream.device)
        found = drawn_by(sampler, device="cuda")
    torch.cuda.synchronize()
    assert summaries(found) == GOLDEN[BY_KERNEL[1]]


@contextlib.contextmanager
def waiting_refused():
    """Makes any operation that waits for the GPU raise an error."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("case", CASES)
def test_a_draw_waits_for_nothing(case):
    sampler, true_ids = on_gpu(case), TRUE_IDS.to("cuda")
    sampler(true_ids)  # at the first use, the kernel is compared with the operations
    with waiting_refused():
        sampler(true_ids)


def test_a_step_waits_for_nothing():
    loss, query, table, ids, excluded = step_of(LogUniform(400), "cuda")
    copy.deepcopy(loss)(query, ids, table, excluded)  # the first use
    with waiting_refused():
        loss(query, ids, table, excluded).backward()
    assert table.grad.abs().sum() > 0


def test_what_waits_is_seen():
    true_ids = TRUE_IDS.to("cuda")
    with waiting_refused(), pytest.raises(RuntimeError, match="synchroniz"):
        true_ids.nonzero()


def step_of(distribution, device, rows=256, dim=16):
    """Returns a loss and its inputs, equal on every device."""
    rng = np.random.default_rng(17)
    sampler = PopularityBasedSampler(distribution.size + 2, 3, 100, 17, distribution=distribution)
    vectors = [
        rng.normal(size=(num, dim)).astype(np.float32) for num in (rows, distribution.size + 3)
    ]
    ids = torch.from_numpy(rng.integers(0, distribution.size + 3, rows)).to(device)
    excluded = torch.from_numpy(rng.integers(0, distribution.size + 3, (rows, 7))).to(device)
    query, table = (torch.from_numpy(x).to(device).requires_grad_() for x in vectors)
    return SampledSoftmaxLoss(sampler, 0.5).to(device), query, table, ids, excluded


@pytest.mark.parametrize("training", [True, False], ids=["sampled", "whole catalog"])
def test_losses_and_gradients_are_the_cpu_s(training):
    found = []
    for device in ("cpu", "cuda"):
        loss, query, table, ids, excluded = step_of(LogUniform(400), device)
        value = loss.train(training)(query, ids, table, excluded)
        if training:
            value.backward()
        grads = [x.grad.cpu().numpy() for x in (query, table)] if training else []
        found.append([value.detach().cpu().numpy(), *grads])
    for cpu, gpu in zip(*found):
        np.testing.assert_allclose(gpu, cpu, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_changes_no_draw_and_no_loss(dtype):
    loss, query, table, ids, _ = step_of(LogUniform(400), "cuda")
    expected = copy.deepcopy(loss)(query, ids, table)
    with torch.autocast("cuda", dtype=dtype):
        found = loss(query, ids, table)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_a_captured_graph_draws_on(case):
    """Each replay draws the next batch: stream and draw are parts of the graph."""
    sampler, true_ids = on_gpu(case), TRUE_IDS.to("cuda")
    start = sampler.stream.state.clone()
    aside = torch.cuda.Stream()
    with torch.cuda.stream(aside):
        sampler(true_ids)  # libraries cannot do their first-call setup during a capture
    torch.cuda.synchronize()
    sampler.stream.state.copy_(start)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        values = sampler(true_ids)
    found = []
    for _ in range(BATCHES):
        graph.replay()
        found.append(summary(values.sampled_ids.cpu().numpy()))
    assert found == GOLDEN[case]
    graph.replay()
    replayed = values.sampled_ids.clone()
    sampler.stream.state[0] -= 1
    assert sampler(true_ids).sampled_ids.tolist() == replayed.tolist()  # in eager mode again


def test_a_stream_goes_on_where_it_is_loaded():
    expected = GOLDEN[LARGE]
    first, second = on_gpu(LARGE), sampler_of(PopularityBasedSampler, LARGE, seed=5)
    drawn = [summary(first.sample_ids().cpu().numpy())]
    second.load_state_dict(first.state_dict())
    drawn.append(summary(second.sample_ids().numpy()))
    second.to("cuda")
    drawn.append(summary(second.sample_ids().cpu().numpy()))
    assert drawn == expected


def test_the_number_of_samples_may_change():
    sampler = on_gpu(LARGE)
    sampler.set_max_num_samples(7)
    assert sampler.sample_ids().shape == (7,)
    assert sampler.get_distribution_probs().device.type == "cuda"


def test_deterministic_algorithms():
    torch.use_deterministic_algorithms(True)
    try:
        assert summaries(drawn_by(on_gpu(LARGE), device="cuda")) == GOLDEN[LARGE]
    finally:
        torch.use_deterministic_algorithms(False)


def test_a_billion_items():
    sampler = PopularityBasedSampler(10**9 + 2, 3, 100_000, 17).to("cuda")
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    ids = sampler.sample_ids()
    assert len(ids.unique()) == 100_000
    assert ids.min().item() >= 3 and ids.max().item() <= 10**9 + 2
    assert torch.cuda.max_memory_allocated() - before < 64 * 2**20


def test_an_evaluation_takes_memory_for_a_block():
    rows, items, dim = 1024, 10**6, 32
    loss = SampledSoftmaxLoss(PopularityBasedSampler(items + 2, 3, 100, 17)).to("cuda").eval()
    table, query = (torch.randn(num, dim, device="cuda") for num in (items + 3, rows))
    ids = torch.randint(3, items + 3, (rows,), device="cuda")
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    assert torch.isfinite(loss(query, ids, table))
    # The matrix of all scores has 4 GB.
    assert torch.cuda.max_memory_allocated() - before < 512 * 2**20


def test_made_where_it_draws():
    """Under a default device, all of a module is created there."""
    with torch.device("cuda"):
        sampler = sampler_of(PopularityBasedSampler, LARGE)
    assert sampler.stream.device.type == "cuda"
    assert summaries(drawn_by(sampler, device="cuda")) == GOLDEN[LARGE]


def test_excluded_ids_may_be_nested():
    loss, query, table, ids, excluded = step_of(LogUniform(400), "cuda")
    nested = torch.nested.nested_tensor(list(excluded), layout=torch.jagged)
    expected = copy.deepcopy(loss)(query, ids, table, excluded)
    assert loss(query, ids, table, nested).item() == pytest.approx(expected.item(), rel=1e-6)
    assert expected.item() != pytest.approx(loss(query, ids, table).item(), rel=1e-3)


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
def test_gradients_of_an_embedding(sparse):
    loss, query, table, ids, _ = step_of(LogUniform(400), "cuda")
    items = torch.nn.Embedding.from_pretrained(table.detach(), freeze=False, sparse=sparse)
    copy.deepcopy(loss)(query, ids, table).backward()
    loss(query, ids, items).backward()
    found = items.weight.grad.to_dense() if sparse else items.weight.grad
    np.testing.assert_allclose(found.cpu(), table.grad.cpu(), rtol=1e-4, atol=1e-7)


REDUCED = ["log-uniform, 1000 of 1e6", LARGE, "measured, 20000 of 1e6, a head"]
WAYS = [(case, "default") for case in CASES] + [(case, "reduce-overhead") for case in REDUCED]


@pytest.mark.parametrize(("case", "mode"), WAYS)
def test_compiled_draws(case, mode):
    """The last test here: after an error of a kernel, the process cannot use the GPU."""
    torch.compiler.reset()
    compiled = torch.compile(on_gpu(case), fullgraph=True, mode=mode)
    # A captured graph overwrites its result at the next replay.
    found = [
        type(values)(*(tensor.clone() for tensor in values))
        for values in map(compiled, [TRUE_IDS.to("cuda")] * BATCHES)
    ]
    assert summaries(found) == GOLDEN[case]
    assert_expected_counts(found, drawn_by(on_gpu(case), device="cuda"), rtol=1e-5)


def test_a_compiled_step():
    torch.compiler.reset()
    loss, query, table, ids, excluded = step_of(LogUniform(400), "cuda")
    compiled = torch.compile(copy.deepcopy(loss), fullgraph=True)
    found = []
    for step in (loss, compiled):
        query.grad = table.grad = None
        values = [step(query, ids, table, excluded) for _ in range(2)]
        sum(values).backward()
        found.append([*(value.item() for value in values), query.grad.cpu(), table.grad.cpu()])
    for eager, other in zip(*found):
        np.testing.assert_allclose(other, eager, rtol=1e-4, atol=1e-7)
