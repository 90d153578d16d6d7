"""Tests SampledSoftmaxLoss against the full softmax, and its treatment of rows."""

import copy

import numpy as np
import pytest
import torch
from torch.nn import functional

from merlin_popsampler import PopSamplerError
from merlin_popsampler.distributions import Empirical, PopularityCurve
from merlin_popsampler.torch import PopularityBasedSampler, SampledSoftmaxLoss, whole_catalog
from merlin_popsampler.torch.whole_catalog import score_catalog
from tests.support.loss_oracles import losses_by_hand, ranked_by_hand

COUNTS = [300, 41, 41, 30, 9, 9, 9, 2, 1, 1, 1, 1]


def sampler(num=5, **settings):
    return PopularityBasedSampler(14, 3, num, 17, **settings)


def numbers(rows=6, dim=4):
    torch.manual_seed(3)
    table = torch.nn.Embedding(15, dim)
    return torch.randn(rows, dim), torch.tensor([3, 14, 7, 7, 12, 5])[:rows], table


# ------------------------------------------------------------------ the full softmax


@pytest.mark.parametrize("distribution", ["log_uniform", "measured"])
@pytest.mark.parametrize("temperature", [1.0, 0.2])
@pytest.mark.parametrize("correct", [True, False])
def test_all_items_sampled_is_the_full_softmax(distribution, temperature, correct):
    """Compares with PyTorch's cross-entropy over the whole catalog."""
    distribution = (
        Empirical(PopularityCurve.from_counts(COUNTS))
        if distribution == "measured"
        else distribution
    )
    query, ids, table = numbers()
    theirs = copy.deepcopy(table)
    queries = [query.clone().requires_grad_() for _ in range(2)]
    loss = SampledSoftmaxLoss(
        sampler(12, distribution=distribution), temperature, correct_positive=correct
    )(queries[0], ids, table)
    scores = queries[1] @ theirs.weight[3:].T / temperature
    expected = functional.cross_entropy(scores, ids - 3)
    loss.backward(), expected.backward()
    np.testing.assert_allclose(loss.item(), expected.item(), rtol=1e-5)
    np.testing.assert_allclose(queries[0].grad, queries[1].grad, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(table.weight.grad, theirs.weight.grad, rtol=1e-4, atol=1e-6)


def test_a_wrong_expected_count_is_not_the_full_softmax():
    """Negative control: expected counts for another number of samples are refused."""
    query, ids, table = numbers()
    loss = SampledSoftmaxLoss(sampler(11))(query, ids, table)
    expected = functional.cross_entropy(query @ table.weight[3:].T, ids - 3)
    assert abs(loss.item() - expected.item()) > 1e-3


def test_the_sum_over_the_samples_is_unbiased():
    """Over many draws, the mean sum over samples is the sum over the catalog."""
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


@pytest.mark.parametrize("correct", [True, False])
@pytest.mark.parametrize("strength", [0.0, 0.4, 1.0])
def test_the_strength_is_a_power_of_the_expected_counts(strength, correct):
    query, ids, table = numbers()
    settings = {"correct_positive": correct, "logq_strength": strength, "reduction": "none"}
    found = SampledSoftmaxLoss(sampler(), 0.5, **settings)(query, ids, table)
    sampled, count_of = sampler().sample_ids(), sampler().expected_count(torch.arange(15))
    arrays = [x.detach().numpy() for x in (query, table.weight, ids, sampled, count_of)]
    expected = losses_by_hand(*arrays, 0.5, [[]] * 6, correct, strength)
    np.testing.assert_allclose(found.detach(), expected, rtol=1e-5)


# ------------------------------------------------------------------ rows


@pytest.fixture
def per_row():
    query, ids, table = numbers()
    return SampledSoftmaxLoss(sampler(), reduction="none")(query, ids, table)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_reductions_over_rows_with_an_item(reduction, per_row):
    """Rows with padding, null, unknown keys, or ids beyond the table do not count."""
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
def test_a_batch_without_items_has_a_loss_of_zero(reduction):
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


def test_excluded_ids_are_not_negatives():
    query, ids, table = numbers()
    drawn = sampler().sample_ids()
    everything = drawn.repeat(6, 1)
    loss = SampledSoftmaxLoss(sampler(), reduction="none")
    torch.testing.assert_close(loss(query, ids, table, everything), torch.zeros(6))


SHARED = [[4, 5], [14, 0], [3, 9], [7, 7]]
"""Items that four users exclude at five positions each."""


def jagged(lists):
    return torch.nested.nested_tensor([torch.tensor(ids) for ids in lists], layout=torch.jagged)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "form",
    ["a user", "a position", "a query", "rows", "nested", "narrowed", "list", "array", "int32"],
)
def test_excluded_ids_broadcast_as_the_queries_do(form, training):
    """Passes one list for each user, position, query or row; dense, nested, or as Python lists."""
    torch.manual_seed(3)
    queries, ids, table = torch.randn(4, 5, 4), torch.arange(20).reshape(4, 5) % 12 + 3, Unit(15, 4)
    shared, rows = torch.tensor(SHARED), torch.tensor(SHARED).repeat_interleave(5, 0)
    padded = torch.cat([rows, torch.full((20, 1), 8)], 1)
    excluded = {
        "a user": shared[:, None],
        "a position": torch.tensor([*SHARED, [8, 8]])[None],
        "a query": rows.reshape(4, 5, 2),
        "rows": rows,
        "nested": jagged(rows.tolist()),
        "narrowed": torch.nested.narrow(
            padded, 1, torch.zeros(20).long(), torch.full((20,), 2), layout=torch.jagged
        ),
        "list": rows.tolist(),
        "array": rows.numpy(),
        "int32": shared[:, None].int(),
    }[form]
    wanted = torch.tensor([*SHARED, [8, 8]]).repeat(4, 1) if form == "a position" else rows
    loss = SampledSoftmaxLoss(sampler(12), reduction="none").train(training)
    found = loss(queries, ids, table, excluded).reshape(-1)
    for row, (query, item) in enumerate(zip(queries.reshape(20, 4), ids.reshape(20))):
        alone = loss(query[None], item[None], table, wanted[row : row + 1])
        torch.testing.assert_close(found[row : row + 1], alone)


@pytest.mark.parametrize(
    "excluded",
    [
        torch.tensor(SHARED),
        torch.tensor(SHARED)[:, None, None],
        torch.tensor([3, 4]),
        torch.tensor(3),
        torch.tensor(SHARED).repeat_interleave(5, 0)[:, :1].float(),
        torch.ones(4, 5, 15, dtype=torch.bool),
        jagged(SHARED),
        jagged([[3.0]] * 20),
        torch.nested.nested_tensor([torch.tensor([3])] * 20),
        torch.nested.nested_tensor([torch.ones(1, 2).long()] * 20, layout=torch.jagged),
        [[3], [4, 5]],
    ],
)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_excluded_ids_of_another_shape_or_kind_are_refused(excluded, training):
    """Passes too few rows, no rows, floats, masks, and nested tensors of other layouts."""
    queries, ids, table = torch.randn(4, 5, 4), torch.full((4, 5), 3), torch.nn.Embedding(15, 4)
    with pytest.raises(PopSamplerError, match=r"excluded_ids|integer ids|tensor of ids"):
        SampledSoftmaxLoss(sampler()).train(training)(queries, ids, table, excluded)


# ------------------------------------------------------------------ finite losses

FINITE = {
    "outside": [0, 1, 2, 15, 10**12, -1],
    "some outside": [3, 0, 10**12, 14, 3, -5],
    "repeated": [3, 3, 3, 3, 14, 14],
    "one row": [7],
    "one row outside": [0],
    "no row": [],
}


@pytest.mark.parametrize("name", FINITE)
@pytest.mark.parametrize("scale", [1.0, 1e30])
@pytest.mark.parametrize("correct", [True, False])
def test_finite_vectors_and_any_ids_give_a_finite_loss_and_gradient(name, scale, correct):
    """Ids may be out of range, repeated or absent; overflowing products are clipped."""
    ids = torch.tensor(FINITE[name], dtype=torch.int64)
    rows = torch.Generator().manual_seed(3)
    query = scale * torch.randn(len(ids), 4, generator=rows)
    weight = scale * torch.randn(15, 4, generator=rows)
    query.requires_grad_(), weight.requires_grad_()
    distribution = Empirical(
        PopularityCurve.from_counts([*COUNTS[:9], 0, 0, 0])
    )  # items that were never drawn
    loss = SampledSoftmaxLoss(sampler(5, distribution=distribution), 1e-3, correct_positive=correct)
    found = loss(query, ids, weight)
    found.backward()
    assert found.isfinite() and query.grad.isfinite().all() and weight.grad.isfinite().all()
    assert found > 0 or not any(3 <= i <= 14 for i in FINITE[name]) or scale > 1
    losses, _ = loss.evaluate(query, ids, weight)
    assert losses.isfinite().all()


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("where", ["query", "item", "sample"])
def test_what_is_not_finite_in_the_vectors_is_seen(value, where):
    """An infinity must not be clipped to an ordinary number."""
    query, ids, table = numbers()
    weight = table.weight.detach().clone()
    target = {"query": query[2], "item": weight[7], "sample": weight[10]}[where]
    target[1] = value
    loss = SampledSoftmaxLoss(sampler(12), reduction="none")
    seen = loss(query, ids, weight).isnan()
    assert seen[2] and seen.all() == (where != "query")
    losses, ranks = loss.evaluate(query, ids, weight)
    assert losses[2].isnan() and (ranks[2] == 11) == (where != "sample")


def test_nan_in_a_padded_row_does_not_reach_other_rows():
    """Attention over no positions gives NaN in padded rows."""
    query, ids, table = numbers()
    query[[1, 4]], ids[[1, 4]] = torch.nan, 0
    found = SampledSoftmaxLoss(sampler())(query.requires_grad_(), ids, table)
    found.backward()
    kept = [0, 2, 3, 5]
    torch.testing.assert_close(found, SampledSoftmaxLoss(sampler())(query[kept], ids[kept], table))
    assert query.grad.isfinite().all() and table.weight.grad.isfinite().all()


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


class Unit(torch.nn.Embedding):
    def forward(self, ids):
        return functional.normalize(super().forward(ids), dim=-1)


class LowRank(torch.nn.Module):
    """Imitates LoRA: a frozen table and trained low-rank factors."""

    def __init__(self):
        super().__init__()
        self.base = torch.nn.Embedding.from_pretrained(torch.randn(15, 4))
        self.low, self.up = torch.nn.Embedding(15, 2), torch.nn.Linear(2, 4, bias=False)

    def forward(self, ids):
        return self.base(ids) + self.up(self.low(ids))


def parametrized():
    return torch.nn.utils.parametrizations.weight_norm(torch.nn.Embedding(15, 4), dim=0)


def hooked():
    table = torch.nn.Embedding(15, 4)
    table.register_forward_hook(lambda module, inputs, vectors: 2 * vectors)
    return table


def quantized():
    table = torch.ao.nn.quantized.Embedding(15, 4)
    table.set_weight(
        torch.quantize_per_channel(
            torch.randn(15, 4), torch.full((15,), 0.1), torch.zeros(15), 0, torch.quint8
        )
    )
    return table


TABLES = {
    "plain": lambda: torch.nn.Embedding(15, 4),
    "padding": lambda: torch.nn.Embedding(15, 4, padding_idx=0),
    "own forward": lambda: Unit(15, 4),
    "max_norm": lambda: torch.nn.Embedding(15, 4, max_norm=0.5),
    "parametrized": parametrized,
    "hooked": hooked,
    "quantized": quantized,
    "adapter": LowRank,
    "sequential": lambda: torch.nn.Sequential(torch.nn.Embedding(15, 4), torch.nn.Tanh()),
    "parallel": lambda: torch.nn.DataParallel(Unit(15, 4)),
    "bfloat16": lambda: Unit(15, 4).bfloat16(),
    "float16": lambda: torch.nn.Embedding(15, 4).half(),
}


@pytest.mark.parametrize("kind", TABLES)
def test_training_and_evaluation_look_the_same_vectors_up(monkeypatch, kind):
    """The loss calls each module of TABLES, as it calls sharded (FSDP) modules."""
    monkeypatch.setattr(whole_catalog, "BLOCK_BYTES", 5 * 4 * 6)  # several blocks
    query, ids, _ = numbers()
    table, loss = TABLES[kind](), SampledSoftmaxLoss(sampler(12))
    trained = loss(query, ids, table)
    with torch.no_grad():
        scores = query @ table(torch.arange(15)).float()[3:].T
    expected = functional.cross_entropy(scores, ids - 3)
    torch.testing.assert_close(trained.detach(), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(loss.eval()(query, ids, table), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "table",
    [
        torch.nn.Embedding(14, 4),
        torch.zeros(15),
        torch.tensor(1.0),
        None,
        torch.nn.Linear(3, 2),
        torch.nn.Linear(4, 15),
        torch.nn.EmbeddingBag(15, 4),
        torch.nn.EmbeddingBag(15, 4).weight[:14],
    ],
)
def test_tables_of_other_types_are_refused(table):
    query, ids, _ = numbers()
    with pytest.raises(PopSamplerError, match="15 rows"):
        SampledSoftmaxLoss(sampler())(query, ids, table)


@pytest.mark.parametrize("module", [torch.nn.Flatten(0), torch.nn.Identity(), torch.nn.ReLU()])
@pytest.mark.parametrize("training", [True, False])
def test_a_module_that_gives_no_vectors_is_refused(module, training):
    query, ids, _ = numbers()
    with pytest.raises(PopSamplerError, match="to map int64 ids"):
        SampledSoftmaxLoss(sampler()).train(training)(query, ids, module)


@pytest.mark.parametrize("ids", [[[3, 4]] * 6, [3] * 5, 3, [3.0] * 6])
def test_ids_of_another_shape_or_kind_are_refused(ids):
    query, _, table = numbers()
    with pytest.raises(PopSamplerError, match=r"one item a query|integer ids"):
        SampledSoftmaxLoss(sampler())(query, ids, table)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reduction": "average"}, "Expected reduction in.*the mean over the rows with an item"),
        ({"temperature": 0.0}, "temperature"),
        ({"logq_strength": -0.1}, "from 0 to 1"),
        ({"logq_strength": True}, "from 0 to 1"),
    ],
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
    assert loss.negatives.samplers[0].stream.state[0] == 0
    losses, ranks = loss.train().evaluate(
        torch.cat([query, query[:1]]), torch.cat([ids, torch.tensor([0])]), table
    )
    assert losses[6] == 0 and ranks[6] == -1
    as_good = (scores >= scores.gather(1, (ids - 3)[:, None])).sum(1)
    assert ranks[:6].tolist() == (as_good - 1).tolist()
    torch.testing.assert_close(losses[:6].mean(), found)


# ------------------------------------------------------------------ a part of a model


def test_the_stream_is_saved_with_the_loss():
    loss, (query, ids, table) = SampledSoftmaxLoss(sampler()), numbers()
    loss(query, ids, table)
    assert list(loss.state_dict()) == ["negatives.sources.0.stream._extra_state"]
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


def test_queries_of_another_library_are_refused():
    loss = SampledSoftmaxLoss(PopularityBasedSampler(9, max_num_samples=2))
    with pytest.raises(PopSamplerError, match="Received: ndarray.*or torch.as_tensor of an array"):
        loss(np.zeros((2, 4), np.float32), torch.tensor([3, 4]), torch.nn.Embedding(10, 4))


@pytest.mark.parametrize("name", ["true_ids", "excluded_ids", "hard_negative_ids"])
def test_the_argument_with_floats_is_named(name):
    loss = SampledSoftmaxLoss(PopularityBasedSampler(9, max_num_samples=2))
    ids = {"true_ids": torch.tensor([3, 4]), name: torch.ones(2, 1)}
    with pytest.raises(PopSamplerError, match=f"integer ids as {name}. Received: torch.float32"):
        loss(torch.zeros(2, 4), item_table=torch.zeros(10, 4), **ids)
