"""Tests hard negatives: their count is 1, and the sum of a row stays unbiased."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from merlin_popsampler import PopSamplerError
from merlin_popsampler.torch import PopularityBasedSampler, SampledSoftmaxLoss, sampled_softmax
from tests.support.hard_cases import (
    EXCLUDED,
    HARD,
    LIST,
    SIZE,
    TRUE,
    TRUE_IDS,
    WRONG,
    exact_sum,
    row_of_six,
)
from tests.support.loss_oracles import losses_by_hand
from tests.support.oracles import enumerate_sequences, log_uniform_probs


def numbers(rows=6, dim=4):
    torch.manual_seed(3)
    table = torch.nn.Embedding(15, dim)
    return torch.randn(rows, dim), torch.tensor(TRUE_IDS)[:rows], table


def sampler(num=5, **settings):
    return PopularityBasedSampler(14, 3, num, 17, **settings)


def padded(lists):
    width = max(map(len, lists))
    return torch.tensor([[*ids, *[0] * (width - len(ids))] for ids in lists])


def nested(lists):
    return torch.nested.nested_tensor(
        [torch.tensor(ids, dtype=torch.int64) for ids in lists], layout=torch.jagged
    )


# ------------------------------------------------------------------ the sum of each row


@pytest.mark.parametrize("correct", [True, False])
@pytest.mark.parametrize("strength", [1.0, 0.5])
@pytest.mark.parametrize("excluded", [None, EXCLUDED], ids=["nothing", "excluded"])
@pytest.mark.parametrize("form", [padded, nested, lambda lists: padded(lists).numpy()])
def test_each_row_is_as_by_hand(form, excluded, strength, correct):
    query, ids, table = numbers()
    settings = {"correct_positive": correct, "logq_strength": strength, "reduction": "none"}
    loss = SampledSoftmaxLoss(sampler(), 0.5, **settings)
    excluded_ids = None if excluded is None else form(excluded)
    found = loss(query, ids, table, excluded_ids, hard_negative_ids=form(HARD))
    sampled, count_of = sampler().sample_ids(), sampler().expected_count(torch.arange(15))
    assert {5, 9} & set(sampled.tolist())  # a hard negative that was drawn
    arrays = [x.detach().numpy() for x in (query, table.weight, ids, sampled, count_of)]
    excluded = excluded or [[]] * 6
    expected = losses_by_hand(*arrays, 0.5, excluded, correct, strength, HARD)
    np.testing.assert_allclose(found.detach(), expected, rtol=1e-5)
    without = losses_by_hand(*arrays, 0.5, excluded, correct, strength)
    assert (abs(without - expected) > 1e-3).sum() >= 4


def test_forms_that_queries_share():
    """Cases: one list for a session, a leading dimension of 1, and flat rows."""
    queries, ids, table = torch.randn(2, 3, 4), torch.tensor([[3, 4, 0], [7, 8, 9]]), numbers()[2]
    lists = torch.tensor([[5, 6], [7, 0]])

    def loss(hard):
        return SampledSoftmaxLoss(sampler(), reduction="none")(
            queries, ids, table, hard_negative_ids=hard
        )

    torch.testing.assert_close(loss(lists[:, None]), loss(lists.repeat_interleave(3, 0)))
    with pytest.raises(PopSamplerError, match=r"Expected hard_negative_ids \[2, 3, 'n'\]"):
        loss(lists)


@pytest.mark.parametrize("num", [1, 12])
def test_all_items_as_hard_negatives_are_the_full_softmax(num):
    """Values and gradients do not depend on the samples."""
    query, ids, table = numbers()
    query.requires_grad_()
    loss = SampledSoftmaxLoss(sampler(num), 0.5, correct_positive=False)
    found = loss(query, ids, table, hard_negative_ids=torch.arange(15).repeat(6, 1))
    expected = functional.cross_entropy(query @ table.weight[3:].T / 0.5, ids - 3)
    np.testing.assert_allclose(found.item(), expected.item(), rtol=1e-5)
    for input_ in (query, table.weight):
        (a,), (b,) = (torch.autograd.grad(x, input_, retain_graph=True) for x in (found, expected))
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_no_hard_negatives_change_nothing_and_an_evaluation_ignores_them(training):
    query, ids, table = numbers()
    for hard in ([[]] * 6, HARD):
        plain, with_hard = (
            SampledSoftmaxLoss(sampler()).train(training)(query, ids, table, hard_negative_ids=each)
            for each in (None, padded(hard) if hard is HARD else torch.zeros(6, 0).long())
        )
        assert (plain.item() == pytest.approx(with_hard.item(), rel=1e-6)) == (
            hard is not HARD or not training
        )


def test_not_finite_only_where_a_hard_negative_counts():
    query, ids, table = numbers()
    weight = table.weight.detach().clone()
    weight[13] = torch.nan  # neither drawn nor a positive
    loss = SampledSoftmaxLoss(sampler(1), reduction="none")
    assert sampler(1).sample_ids() != 13
    hard = torch.tensor([[13], [4], [4], [4], [4], [13]])
    excluded = torch.tensor([[0], [0], [0], [0], [0], [13]])
    found = loss(query, ids, weight, excluded, hard_negative_ids=hard)
    assert found.isnan().tolist() == [True, False, False, False, False, False]


def test_large_scores_of_hard_negatives_stay_finite():
    query, ids, table = numbers()
    query, weight = (1e30 * x.detach() for x in (query, table.weight))
    query.requires_grad_(), weight.requires_grad_()
    loss = SampledSoftmaxLoss(sampler(), 1e-3)(query, ids, weight, hard_negative_ids=padded(HARD))
    loss.backward()
    assert all(x.isfinite().all() for x in (loss, query.grad, weight.grad))


# ------------------------------------------------------------------ unbiased


class Fixed(PopularityBasedSampler):
    """Draws given ids."""

    def sample_ids(self):
        return self.drawn


def weighting(monkeypatch, wrong):
    """Runs the correct loss, or one of two wrong weights of hard negatives."""

    def at_counts_of_samples(query, hard, vectors, _):
        scores = (query @ vectors.T)[0] - sampler_of_six().expected_count(hard.safe_ids).log()
        return torch.where(hard.counts, scores, -torch.inf).logsumexp(0)[None]

    if wrong == WRONG[0]:
        monkeypatch.setattr(sampled_softmax, "join", lambda excluded, hard: excluded)
    if wrong == WRONG[1]:
        monkeypatch.setattr(sampled_softmax, "hard_log_sums", at_counts_of_samples)


def sampler_of_six(kind=PopularityBasedSampler):
    return kind(SIZE - 1, 0, 2, 17)


def sum_of_negatives(loss, query, table):
    """Recovers the sum over the negatives from the loss log(1 + sum / e^s) of a row."""
    own = (query @ table[TRUE]).exp()
    losses = loss(query, [TRUE], table, hard_negative_ids=[LIST])
    return own * losses.expm1()


@pytest.mark.parametrize("wrong", [None, *WRONG])
def test_over_all_batches_of_two_the_mean_is_the_sum_over_the_catalog(monkeypatch, wrong):
    """Averages over every ordered sample of two of six items, by its probability."""
    weighting(monkeypatch, wrong)
    arrays = row_of_six()
    query, table = map(torch.from_numpy, arrays)
    loss = SampledSoftmaxLoss(sampler_of_six(Fixed), correct_positive=False)
    mean = 0.0
    for drawn, prob in enumerate_sequences(log_uniform_probs(SIZE), 2):
        loss.negatives.samplers[0].drawn = torch.tensor(drawn)
        mean += prob * sum_of_negatives(loss, query, table).item()
    expected = exact_sum(*arrays)
    assert (abs(mean / expected - 1) < 1e-5) == (wrong is None)
    assert wrong is None or abs(mean / expected - 1) > 0.02


@pytest.mark.parametrize("wrong", [None, *WRONG])
def test_over_many_batches_the_mean_is_the_sum_over_the_catalog(monkeypatch, wrong):
    """10,000 batches of draws for one row; false alarms 1e-6 (4.9 standard errors)."""
    weighting(monkeypatch, wrong)
    arrays = row_of_six()
    query, table = map(torch.from_numpy, arrays)
    loss = SampledSoftmaxLoss(sampler_of_six(), correct_positive=False)
    sums = torch.func.vmap(lambda _: sum_of_negatives(loss, query, table), randomness="different")(
        torch.zeros(10_000)
    ).numpy()
    deviation = (sums.mean() - exact_sum(*arrays)) / (sums.std() / 100)
    assert (abs(deviation) < 4.9) == (wrong is None)


# ------------------------------------------------------------------ ways of running


def test_a_compiled_step_is_the_eager_step():
    query, ids, table = numbers()
    steps = []
    for compiled in (False, True):
        step = SampledSoftmaxLoss(sampler(), 0.5)
        if compiled:
            step = torch.compile(step, fullgraph=True, backend="aot_eager")
        table.weight.grad = None
        losses = [
            step(query, ids, table, ids[:, None], hard_negative_ids=padded(HARD)) for _ in range(2)
        ]
        sum(losses).backward()
        steps.append((torch.stack(losses).detach(), table.weight.grad.clone()))
    torch.testing.assert_close(steps[0], steps[1])


@pytest.mark.parametrize("sparse", [True, False])
def test_gradients_are_as_sparse_as_the_table(sparse):
    query, ids, table = numbers()
    other = torch.nn.Embedding.from_pretrained(table.weight.detach(), freeze=False, sparse=sparse)
    for each in (table, other):
        SampledSoftmaxLoss(sampler())(query, ids, each, hard_negative_ids=nested(HARD)).backward()
    assert other.weight.grad.is_sparse == sparse
    torch.testing.assert_close(other.weight.grad.to_dense(), table.weight.grad)
