"""SampledSoftmaxLoss: the full softmax where all is sampled, and what it does with rows."""

import copy

import numpy as np
import pytest
import torch
from torch.nn import functional

from merlin_popsampler import PopSamplerError
from merlin_popsampler.laws import Empirical, Steps
from merlin_popsampler.torch import PopularityBasedSampler, SampledSoftmaxLoss, whole_catalog
from merlin_popsampler.torch.whole_catalog import score_catalog
from tests.support.loss_oracles import ranked_by_hand

COUNTS = [300, 41, 41, 30, 9, 9, 9, 2, 1, 1, 1, 1]


def sampler(num=5, **settings):
    return PopularityBasedSampler(14, 3, num, 17, **settings)


def numbers(rows=6, dim=4):
    torch.manual_seed(3)
    table = torch.nn.Embedding(15, dim)
    return torch.randn(rows, dim), torch.tensor([3, 14, 7, 7, 12, 5])[:rows], table


# ------------------------------------------------------------------ the full softmax


@pytest.mark.parametrize("law", ["log_uniform", "measured"])
@pytest.mark.parametrize("temperature", [1.0, 0.2])
@pytest.mark.parametrize("correct", [True, False])
def test_all_items_sampled_is_the_full_softmax(law, temperature, correct):
    """The complete oracle: PyTorch's own cross-entropy over the whole catalog."""
    law = Empirical(Steps.from_counts(COUNTS)) if law == "measured" else law
    query, ids, table = numbers()
    theirs = copy.deepcopy(table)
    queries = [query.clone().requires_grad_() for _ in range(2)]
    loss = SampledSoftmaxLoss(sampler(12, law=law), temperature, correct_positive=correct)(
        queries[0], ids, table
    )
    scores = queries[1] @ theirs.weight[3:].T / temperature
    expected = functional.cross_entropy(scores, ids - 3)
    loss.backward(), expected.backward()
    np.testing.assert_allclose(loss.item(), expected.item(), rtol=1e-5)
    np.testing.assert_allclose(queries[0].grad, queries[1].grad, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(table.weight.grad, theirs.weight.grad, rtol=1e-4, atol=1e-6)


def test_a_wrong_price_is_not_the_full_softmax():
    """The oracle has power: a sampler that prices another batch size is refused."""
    query, ids, table = numbers()
    loss = SampledSoftmaxLoss(sampler(11))(query, ids, table)
    expected = functional.cross_entropy(query @ table.weight[3:].T, ids - 3)
    assert abs(loss.item() - expected.item()) > 1e-3


def test_the_sum_over_the_samples_is_unbiased():
    """Over many draws, the uncorrected positive's sum of the others is the catalog's."""
    query, ids, table = numbers(rows=1)
    query = 0.3 * query
    loss = SampledSoftmaxLoss(sampler(9), correct_positive=False)
    with torch.no_grad():
        scores = (query @ table.weight[3:].T).exp()[0]
        own = scores[ids[0] - 3]
        sums = [own * loss(query, ids, table).exp() - own for _ in range(1500)]
    mean, spread = np.mean(sums), np.std(sums) / np.sqrt(len(sums))
    assert abs(mean - float(scores.sum() - own)) < 5 * spread
    assert abs(mean - float(scores.sum())) > 5 * spread


# ------------------------------------------------------------------ rows


@pytest.fixture
def per_row():
    query, ids, table = numbers()
    return SampledSoftmaxLoss(sampler(), reduction="none")(query, ids, table)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_reductions_over_the_rows_that_count(reduction, per_row):
    """Padding, null and what is out of the vocabulary, also beyond the table."""
    query, ids, table = numbers()
    others = torch.tensor([0, 1, 2, 15, 10**12, -1])
    all_ids = torch.stack([ids, others], 1).reshape(-1)
    loss = SampledSoftmaxLoss(sampler(), reduction=reduction)
    found = loss(query.repeat_interleave(2, 0), all_ids, table)
    expected = {
        "mean": per_row.mean(),
        "sum": per_row.sum(),
        "none": torch.stack([per_row, torch.zeros(6)], 1).reshape(-1),
    }
    torch.testing.assert_close(found, expected[reduction])


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_no_row_that_counts_is_a_loss_of_zero(reduction):
    query, _, table = numbers()
    query.requires_grad_()
    loss = SampledSoftmaxLoss(sampler(), reduction=reduction)
    found = loss(query, torch.zeros(6, dtype=torch.int64), table)
    found.sum().backward()
    assert not found.any() and not query.grad.any() and not table.weight.grad.any()


def test_rows_of_any_shape(per_row):
    query, ids, table = numbers()
    shapes = [((2, 3, 4), (2, 3)), ((2, 3, 4), (2, 3, 1)), ((6, 4), (6, 1)), ((1, 6, 4), (1, 6))]
    for query_shape, ids_shape in shapes:
        loss = SampledSoftmaxLoss(sampler(), reduction="none")
        found = loss(query.reshape(query_shape), ids.reshape(ids_shape), table)
        torch.testing.assert_close(found, per_row.reshape(query_shape[:-1]))


def test_excluded_ids_are_no_negatives():
    query, ids, table = numbers()
    drawn = sampler().sample_ids()
    everything = drawn.repeat(6, 1)
    loss = SampledSoftmaxLoss(sampler(), reduction="none")
    torch.testing.assert_close(loss(query, ids, table, everything), torch.zeros(6))


# ------------------------------------------------------------------ tables


@pytest.mark.parametrize("kind", ["dense", "sparse", "weight", "tensor"])
def test_gradients_of_every_table(kind):
    query, ids, table = numbers()
    expected = SampledSoftmaxLoss(sampler())(query, ids, table)
    expected.backward()
    weight = table.weight.detach().clone()
    other = {
        "dense": lambda: torch.nn.Embedding.from_pretrained(weight, freeze=False),
        "sparse": lambda: torch.nn.Embedding.from_pretrained(weight, freeze=False, sparse=True),
        "weight": lambda: torch.nn.Parameter(weight),
        "tensor": weight.requires_grad_,
    }[kind]()
    found = SampledSoftmaxLoss(sampler())(query, ids, other)
    found.backward()
    gradient = getattr(other, "weight", other).grad
    assert gradient.is_sparse == (kind == "sparse")
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradient.to_dense(), table.weight.grad)


@pytest.mark.parametrize(
    "table", [torch.nn.Embedding(14, 4), torch.zeros(15), None, torch.nn.Linear(3, 2)]
)
def test_what_is_no_table_is_refused(table):
    query, ids, _ = numbers()
    with pytest.raises(PopSamplerError, match="15 rows"):
        SampledSoftmaxLoss(sampler())(query, ids, table)


@pytest.mark.parametrize("ids", [[[3, 4]] * 6, [3] * 5, 3, [3.0] * 6])
def test_ids_of_another_shape_or_kind_are_refused(ids):
    query, _, table = numbers()
    with pytest.raises(PopSamplerError, match=r"one item a query|integer ids"):
        SampledSoftmaxLoss(sampler())(query, ids, table)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"reduction": "average"}, "reduction"), ({"temperature": 0.0}, "temperature")],
)
def test_refused(settings, message):
    with pytest.raises(PopSamplerError, match=message):
        SampledSoftmaxLoss(sampler(), **settings)


# ------------------------------------------------------------------ evaluation


@pytest.mark.parametrize("block", [1, 7, 50, 100, 1000])
def test_blocks_of_any_size_answer_as_the_whole_matrix(monkeypatch, block):
    monkeypatch.setattr(whole_catalog, "BLOCK_BYTES", block * 4 * 5)
    rng = np.random.default_rng(17)
    query, vectors = rng.normal(size=(5, 4)), rng.normal(size=(110, 4))
    true_ids = np.array([3, 102, 60, 60, 7])
    excluded = [[4, 5, 102], [], [99], [0, 1, 2, 103], [50, 50]]
    width = torch.tensor([[*ids, *[0] * (4 - len(ids))] for ids in excluded])
    domain = PopularityBasedSampler(102, 3).domain
    tensors = (torch.tensor(x) for x in (query, true_ids, vectors))
    losses, ranks = score_catalog(*tensors, domain, 0.3, width)
    expected_losses, expected_ranks = ranked_by_hand(query, vectors, true_ids, 0.3, excluded)
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-5)
    np.testing.assert_array_equal(ranks, expected_ranks)
    assert losses.dtype == torch.float32 and ranks.dtype == torch.int64


def test_evaluation_is_the_full_softmax_and_draws_nothing():
    query, ids, table = numbers()
    loss = SampledSoftmaxLoss(sampler(), 0.5).eval()
    found = loss(query, ids, table)
    scores = (query @ table.weight[3:].T / 0.5).detach()
    torch.testing.assert_close(found, functional.cross_entropy(scores, ids - 3))
    assert not found.requires_grad
    assert loss.sampler.stream[0] == 0
    losses, ranks = loss.train().evaluate(
        torch.cat([query, query[:1]]), torch.cat([ids, torch.tensor([0])]), table
    )
    assert losses[6] == 0 and ranks[6] == -1
    better = (scores > scores.gather(1, (ids - 3)[:, None])).sum(1)
    assert ranks[:6].tolist() == better.tolist()
    torch.testing.assert_close(losses[:6].mean(), found)


# ------------------------------------------------------------------ a part of a model


def test_the_stream_is_saved_with_the_loss():
    loss, (query, ids, table) = SampledSoftmaxLoss(sampler()), numbers()
    loss(query, ids, table)
    assert list(loss.state_dict()) == ["sampler.stream"]
    fresh = SampledSoftmaxLoss(PopularityBasedSampler(14, 3, 5, 99))
    fresh.load_state_dict(loss.state_dict())
    torch.testing.assert_close(fresh(query, ids, table), loss(query, ids, table))


def test_a_compiled_step_is_the_eager_step():
    query, ids, table = numbers()
    steps = []
    for compiled in (False, True):
        step = SampledSoftmaxLoss(sampler(), 0.5)
        if compiled:
            step = torch.compile(step, fullgraph=True, backend="aot_eager")
        table.weight.grad = None
        losses = [step(query, ids, table, ids[:, None]) for _ in range(3)]
        sum(losses).backward()
        steps.append((torch.stack(losses).detach(), table.weight.grad.clone()))
    torch.testing.assert_close(steps[0], steps[1])


def test_mixed_precision_trains_in_single():
    query, ids, table = numbers()
    expected = SampledSoftmaxLoss(sampler())(query, ids, table)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = SampledSoftmaxLoss(sampler())(query, ids, table)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected)
