"""Tests negatives of several sources: one expected count gives an unbiased estimate."""

import re

import numpy as np
import pytest
import torch
from torch.nn import functional

from merlin_popsampler import PopSamplerError
from merlin_popsampler.distributions import Empirical, PopularityCurve
from merlin_popsampler.torch import InBatch, Mixture, PopularityBasedSampler, SampledSoftmaxLoss
from merlin_popsampler.torch.negatives import Draw, as_mixture
from tests.conftest import SEED
from tests.support.loss_oracles import losses_by_hand

COUNTS = [300, 41, 41, 30, 9, 9, 9, 2, 1, 1, 1, 1]
PROBS = np.array(COUNTS) / sum(COUNTS)
MEASURED = Empirical(PopularityCurve.from_counts(COUNTS))
ROWS, TRIALS = 6, 8000


def sampler(num=5, **settings):
    return PopularityBasedSampler(14, 3, num, **{"seed": SEED, **settings})


def in_batch(**settings):
    return InBatch(**{"max_id": 14, "min_id": 3, "distribution": MEASURED, **settings})


SOURCES = {
    "samples": lambda: [sampler(distribution=MEASURED)],
    "samples, repeats": lambda: [sampler(distribution="uniform", unique=False)],
    "in-batch": lambda: [in_batch()],
    "both": lambda: [sampler(distribution=MEASURED), in_batch()],
    "three": lambda: [in_batch(), sampler(3, distribution="uniform"), sampler(5, seed=SEED + 1)],
}


def numbers():
    torch.manual_seed(3)
    table = torch.nn.Embedding(15, 4)
    return 0.5 * torch.randn(ROWS, 4), torch.tensor([3, 14, 7, 7, 0, 5]), table


# ------------------------------------------------------------------ unbiased


class CorrectedApart(Mixture):
    """Wrong expected count: each candidate at that of its own source."""

    def draw(self, true_ids, sampled_values=None, joined=None):
        first = sorted(self.sources, key=lambda source: not isinstance(source, InBatch))
        parts = [Mixture([source]).draw(true_ids) for source in first]
        names = ("sampled_ids", "ids", "counts")
        joined = [torch.cat([getattr(part, name) for part in parts]) for name in names]
        return Draw(*joined, parts[0].true_counts)


class EveryRowCounts(Mixture):
    """Wrong expected count: it includes the row itself, and rows without an item."""

    def expected_count(self, ids, rows):
        return super().expected_count(ids, ROWS + 1)


def deviation(mixture, true_id, hard=None):
    """Returns the error of a row's mean sum over negatives, in standard errors."""
    batches = np.random.default_rng(SEED).choice(np.arange(3, 15), p=PROBS, size=[TRIALS, ROWS])
    batches[:, 0], batches[:, 5] = true_id, 1  # a row without an item
    scores = torch.from_numpy(np.random.default_rng(3).normal(size=15)).float()[:, None]
    loss = SampledSoftmaxLoss(mixture, correct_positive=False, reduction="none")

    def one(true_ids):
        losses = loss(torch.ones(ROWS, 1), true_ids, scores, hard_negative_ids=hard)
        return losses[0].expm1() * scores[true_id, 0].exp()

    sums = torch.func.vmap(one, randomness="different")(torch.from_numpy(batches)).double()
    exact = scores[3:].double().exp().sum() - scores[true_id, 0].double().exp()
    return float((sums.mean() - exact) / (sums.std() / np.sqrt(TRIALS)))


@pytest.mark.parametrize("hard", [None, [4, 5, 12]], ids=["", "hard"])
@pytest.mark.parametrize("true_id", [3, 8])
@pytest.mark.parametrize("sources", SOURCES)
def test_the_candidates_estimate_the_sum_over_all_items_but_the_positive(sources, true_id, hard):
    """False alarms 1e-6 (4.9 standard errors)."""
    lists = None if hard is None else torch.tensor([hard] * ROWS)
    assert abs(deviation(Mixture(SOURCES[sources]()), true_id, lists)) < 4.9


@pytest.mark.parametrize("wrong", [CorrectedApart, EveryRowCounts])
@pytest.mark.parametrize("sources", ["both", "three"])
def test_wrong_expected_counts_are_detected(wrong, sources):
    assert abs(deviation(wrong(SOURCES[sources]()), 8)) > 4.9


# ------------------------------------------------------------------ numbers


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("correct", [True, False])
@pytest.mark.parametrize("sources", SOURCES)
def test_each_row_is_as_by_hand(sources, correct, given):
    """Draws are the loss's own, or passed with their expected counts over all samplers."""
    query, ids, table = numbers()
    twin, settings = Mixture(SOURCES[sources]()), {"correct_positive": correct, "reduction": "none"}
    sampled = twin.sample_ids()
    over_samplers = Mixture(twin.samplers).expected_count if twin.samplers else None
    values = (sampled, over_samplers(sampled, 0)) if given and over_samplers else None
    loss = SampledSoftmaxLoss(SOURCES[sources](), 0.5, logq_strength=0.7, **settings)
    found = loss(query, ids, table, sampled_values=values)
    count_of, drawn = np.zeros(15), sampled.tolist()
    for source in twin.samplers:
        count_of[3:] += source.expected_count(torch.arange(3, 15)).numpy()
    if twin.in_batch is not None:
        count_of[3:] += 4 * PROBS  # five rows have an item
        drawn += ids.tolist()
    keep = [0, 1, 2, 3, 5]
    arrays = [x.detach().numpy() for x in (query[keep], table.weight, ids[keep])]
    expected = losses_by_hand(*arrays, drawn, count_of, 0.5, [[]] * 5, correct, 0.7)
    np.testing.assert_allclose(found.detach()[keep], expected, rtol=1e-5)
    assert found[4] == 0
    if values is not None:
        loss.negatives.sample_ids()  # the first batch, since the loss drew none
        assert loss.negatives.sample_ids().tolist() == twin.sample_ids().tolist()


def test_gradients_reach_the_vectors_of_positives_as_negatives():
    query, ids, table = numbers()
    SampledSoftmaxLoss(in_batch(), correct_positive=False)(query, ids, table).backward()
    weight = table.weight.detach().clone().requires_grad_()
    keep = torch.tensor([0, 1, 2, 3, 5])
    counts = torch.from_numpy(4 * PROBS[ids[keep] - 3]).float()
    scores = query[keep] @ weight[ids[keep]].T
    logits = torch.where(ids[keep][:, None] == ids[keep], -torch.inf, scores - counts.log())
    logits = torch.cat([scores.diagonal()[:, None], logits], 1)
    functional.cross_entropy(logits, torch.zeros(5).long()).backward()
    torch.testing.assert_close(table.weight.grad, weight.grad)


def test_a_nan_in_a_vector_that_is_not_used_has_no_effect():
    """Rows without an item look the vector of the first item up."""
    query, ids, table = numbers()
    weight = table.weight.detach().clone()
    weight[3] = torch.nan
    found = SampledSoftmaxLoss(in_batch(), reduction="none")(query[1:], ids[1:], weight)
    assert found.isfinite().all()


def test_an_id_has_one_expected_count_from_every_source():
    both = Mixture(SOURCES["both"]())
    ids = torch.arange(16)
    expected = both.samplers[0].expected_count(ids).numpy()
    expected[3:15] += 4 * PROBS
    np.testing.assert_allclose(both.expected_count(ids, 5), expected, rtol=1e-5)
    for rows in (0, 1, torch.tensor(1)):
        assert Mixture([in_batch()]).expected_count([3, 14, 0], rows).tolist() == [1, 1, 1]


def test_ids_in_any_order():
    counts = {40: 6, 7: 3, 12: 1}
    source = InBatch.from_counts(counts, reserved_ids=[0])
    np.testing.assert_allclose(source.expected_count([7, 40, 12, 13, 0], 11), [3, 6, 1, 0, 0])
    both = Mixture([PopularityBasedSampler.from_counts(counts, max_num_samples=3), source])
    np.testing.assert_allclose(both.expected_count([7, 40, 12, 13], 11), [4, 7, 2, 1])
    other = InBatch.from_counts({40: 3, 7: 6, 12: 1})
    with pytest.raises(PopSamplerError, match="same ids"):
        Mixture([both.samplers[0], other])


@pytest.mark.parametrize("ids", [[0, 1], [3], [], [3, 3]])
def test_few_rows_have_finite_losses(ids):
    for sources in SOURCES.values():
        query = torch.ones(len(ids), 4, requires_grad=True)
        loss = SampledSoftmaxLoss(sources())(query, torch.tensor(ids).long(), torch.ones(15, 4))
        loss.backward()
        assert loss.isfinite() and query.grad.isfinite().all()


# ------------------------------------------------------------------ parts of a model


def test_it_is_saved_compiled_and_moved_with_the_loss():
    query, ids, table = numbers()
    loss = SampledSoftmaxLoss(SOURCES["three"](), reduction="none")
    twin = SampledSoftmaxLoss(SOURCES["three"](), reduction="none")
    compiled = torch.compile(twin, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(query, ids, table), loss(query, ids, table))
    names = [f"negatives.sources.{i}.stream._extra_state" for i in (1, 2)]
    assert list(loss.state_dict()) == names
    fresh = SampledSoftmaxLoss(SOURCES["three"](), reduction="none")
    fresh.load_state_dict(loss.state_dict())
    torch.testing.assert_close(fresh(query, ids, table), loss(query, ids, table))
    assert loss.to("meta").negatives.expected_count(ids.to("meta"), 3).device.type == "meta"


def test_mixtures_are_made_of_what_is_given():
    mixture = Mixture(SOURCES["three"]())
    assert as_mixture(mixture) is mixture
    kinds = [type(source) for source in as_mixture(tuple(SOURCES["three"]())).sources]
    assert kinds == [InBatch, PopularityBasedSampler, PopularityBasedSampler]


def test_what_cannot_be_mixed_is_refused():
    for sources in ([], [in_batch(), in_batch()], ["in-batch"], object()):
        with pytest.raises(PopSamplerError, match="at most one InBatch"):
            SampledSoftmaxLoss(sources)
    with pytest.raises(PopSamplerError, match="same ids"):
        Mixture([sampler(), PopularityBasedSampler(15, 3, 5)])
    for distribution in ("log_uniform", Empirical(MEASURED.steps, 0.5)):
        with pytest.raises(PopSamplerError, match="measured distribution"):
            in_batch(distribution=distribution)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("values", "received"),
    [
        (torch.arange(3, 8), "Received: Tensor of [5]. Pass"),
        ((), "Received: tuple of no parts."),
        ((torch.arange(3, 8),), "Received: tuple of [5]."),
        ((torch.arange(3, 7), torch.ones(4)), "Received: tuple of [4] and [4]."),
        ((torch.arange(3, 8), torch.ones(4)), "Received: tuple of [5] and [4]."),
        ((torch.arange(3, 8)[None], torch.ones(1, 5)), "Received: tuple of [1, 5] and [1, 5]."),
        ((torch.arange(3, 8), None), "Received: tuple of [5] and ['NoneType']."),
        ((torch.ones(5), torch.ones(5)), "integer ids"),
    ],
)
def test_draws_of_another_form_are_refused(values, received, training):
    query, ids, table = numbers()
    loss = SampledSoftmaxLoss(sampler()).train(training)
    with pytest.raises(PopSamplerError, match=re.escape(received)):
        loss(query, ids, table, sampled_values=values)
    with pytest.raises(PopSamplerError, match="sampled_values with in-batch negatives alone"):
        SampledSoftmaxLoss(in_batch())(query, ids, table, sampled_values=(ids[:0], []))
