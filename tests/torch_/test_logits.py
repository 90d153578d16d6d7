"""Compares the sampled loss with TensorFlow's numbers, loops in NumPy, and autograd."""

import numpy as np
import pytest
import torch

from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.errors import PopSamplerError
from merlin_popsampler.torch import (
    Candidates,
    InBatch,
    PopularityBasedSampler,
    SampledSoftmaxLoss,
    contrastive_logits,
)
from merlin_popsampler.torch.logits import cross_entropy
from tests.support import golden_loss
from tests.support.loss_oracles import losses_by_hand

DOMAIN = IdDomain(3, 14)
NOTHING = [[] for _ in range(5)]
HISTORIES = [[], [5, 6], [14], [3, 0, 9, 9], [99]]
TRUE_IDS, SAMPLED = [3, 14, 7, 7, 12], [3, 7, 9, 9, 14, 0, 1, 5]  # repeats, hits, reserved ids


@pytest.mark.parametrize("case", golden_loss.CASES)
def test_values_and_gradients_are_tensorflow_s(case):
    query, table = (
        torch.tensor(numbers, dtype=torch.float32, requires_grad=True)
        for numbers in (golden_loss.QUERY, golden_loss.TABLE)
    )

    def candidates(ids, counts):
        return Candidates(table[ids], torch.tensor(ids), torch.tensor(counts, dtype=torch.float32))

    settings = dict(golden_loss.CASES[case])
    if "excluded_ids" in settings:
        settings["excluded_ids"] = torch.tensor(settings["excluded_ids"])
    logits = contrastive_logits(
        query,
        candidates(golden_loss.TRUE_IDS, golden_loss.TRUE_COUNTS),
        candidates(golden_loss.SAMPLED_IDS, golden_loss.COUNTS),
        golden_loss.DOMAIN,
        **settings,
    )
    losses = cross_entropy(*logits)
    (losses * torch.tensor(golden_loss.WEIGHTS, dtype=torch.float32)).sum().backward()
    found = {"true_logits": logits[0], "logits": logits[1], "losses": losses}
    found.update({"query": query.grad, "table": table.grad})
    for name, expected in golden_loss.GOLDEN[case].items():
        np.testing.assert_allclose(found[name].detach(), expected, rtol=1e-5, atol=1e-6)


def numbers(seed=17):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(5, 4)), rng.normal(size=(15, 4))


def losses(query, vectors, count_of, dtype=torch.float32, **settings):
    def candidates(ids):
        counts = torch.tensor(count_of[ids], dtype=torch.float32)
        return Candidates(torch.tensor(vectors[ids], dtype=dtype), torch.tensor(ids), counts)

    query = torch.tensor(query, dtype=dtype)
    logits = contrastive_logits(
        query, candidates(TRUE_IDS), candidates(SAMPLED), DOMAIN, **settings
    )
    assert logits[0].dtype == logits[1].dtype == torch.float32
    return cross_entropy(*logits)


def padded(lists):
    width = max(map(len, lists))
    return torch.tensor([[*ids, *[0] * (width - len(ids))] for ids in lists], dtype=torch.int64)


def nested(lists):
    return torch.nested.nested_tensor(
        [torch.tensor(ids, dtype=torch.int64) for ids in lists], layout=torch.jagged
    )


@pytest.mark.parametrize("strength", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("correct", [True, False])
@pytest.mark.parametrize("temperature", [0.05, 1.0, torch.tensor(2.0)], ids=["0.05", "1", "2"])
@pytest.mark.parametrize("excluded", [NOTHING, HISTORIES], ids=["nothing", "histories"])
def test_each_row_is_as_by_hand(correct, temperature, excluded, strength):
    query, vectors = numbers()
    count_of = np.linspace(0.1, 3.0, 15)
    expected = losses_by_hand(
        query,
        vectors,
        TRUE_IDS,
        SAMPLED,
        count_of,
        float(temperature),
        excluded,
        correct,
        strength,
    )
    ways = [None] if excluded is NOTHING else [padded(excluded), nested(excluded)]
    for excluded_ids in [*ways, padded(excluded).to(torch.int32)]:
        found = losses(
            query,
            vectors,
            count_of,
            temperature=temperature,
            excluded_ids=excluded_ids,
            correct_positive=correct,
            logq_strength=strength,
        )
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_half_precision_inputs_are_widened_first():
    """Under autocast nothing is rounded, and 16-bit vectors are converted to float32 first."""
    query, vectors = (10 * x for x in numbers())
    count_of = np.linspace(0.1, 3.0, 15)
    expected = losses(query, vectors, count_of)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        np.testing.assert_allclose(losses(query, vectors, count_of), expected, rtol=1e-6)
    rounded = (torch.tensor(x).bfloat16().double().numpy() for x in (query, vectors))
    found = losses(query, vectors, count_of, dtype=torch.bfloat16)
    np.testing.assert_allclose(found, losses(*rounded, count_of), rtol=1e-6)


def test_large_scores_are_finite_and_nan_stays_nan():
    query, vectors = numbers()
    count_of = np.ones(15)
    found = losses(1e30 * query, 1e30 * vectors, count_of, temperature=1e-6)
    assert found.isfinite().all()
    query[2] = np.nan
    assert losses(query, vectors, count_of).isnan().tolist() == [False, False, True, False, False]


def test_gradients_against_finite_differences():
    query, vectors = (torch.tensor(x, dtype=torch.float32) for x in numbers())
    counts = torch.linspace(0.1, 3.0, 15)
    true_ids, sampled = torch.tensor(TRUE_IDS), torch.tensor(SAMPLED)

    def loss(query, vectors):
        positive = Candidates(vectors[true_ids], true_ids, counts[true_ids])
        negative = Candidates(vectors[sampled], sampled, counts[sampled])
        return cross_entropy(*contrastive_logits(query, positive, negative, DOMAIN)).sum()

    for i, at in enumerate((query, vectors)):
        inputs = [query.clone().requires_grad_(), vectors.clone().requires_grad_()]
        loss(*inputs).backward()
        direction = torch.linspace(-1, 1, at.numel()).reshape(at.shape)
        step = 1e-2 * direction
        moved = [[query, vectors], [query, vectors]]
        moved[0][i], moved[1][i] = at + step, at - step
        numeric = float(loss(*moved[0]) - loss(*moved[1])) / 2e-2
        assert float((inputs[i].grad * direction).sum()) == pytest.approx(numeric, rel=1e-2)


def test_vectors_of_the_batch_give_the_loss_of_in_batch():
    """A loop of the user without a table, from public names alone, as the page PyTorch shows."""
    counts, true_ids = {3: 40, 4: 20, 5: 9, 6: 1}, torch.tensor([4, 3, 4, 5])
    torch.manual_seed(3)
    table, queries = torch.randn(7, 8), torch.randn(4, 8)
    sampler = PopularityBasedSampler.from_counts(counts, max_num_samples=1)
    batch = Candidates(table[true_ids], true_ids, 3 * sampler.probability(true_ids))
    found = cross_entropy(*contrastive_logits(queries, batch, batch, sampler.domain, 0.3)).mean()
    expected = SampledSoftmaxLoss(InBatch.from_counts(counts), 0.3)(queries, true_ids, table)
    assert float(found) == pytest.approx(float(expected), rel=1e-6)


def test_wrong_arguments_are_refused():
    """Which ones: `tests/contract/test_negatives.py`."""
    given = Candidates(torch.ones([2, 8]), torch.tensor([3, 4]), torch.ones([2]))
    contrastive_logits(given.vectors, given, given, IdDomain(3, 6))
    for negative, temperature in ((tuple(given), 1.0), (given._replace(ids=None), 1.0), (given, 0)):
        with pytest.raises(PopSamplerError, match="Candidates of three|temperature to be a finite"):
            contrastive_logits(given.vectors, given, negative, IdDomain(3, 6), temperature)
    with pytest.raises(PopSamplerError, match="queries of 7 components, item vectors of 8"):
        contrastive_logits(torch.ones([2, 7]), given, given, IdDomain(3, 6))


def test_counts_may_be_a_number_or_unused():
    given = Candidates(torch.ones([2, 8]), torch.tensor([3, 4]), torch.ones([2]))
    arguments = given.vectors, given, given, IdDomain(3, 6)
    for corrects, counts in ((True, 1.0), (False, None)):
        expected = contrastive_logits(*arguments, correct_positive=corrects)
        found = contrastive_logits(
            given.vectors,
            given._replace(counts=counts),
            given._replace(counts=1.0),
            IdDomain(3, 6),
            correct_positive=corrects,
        )
        for mine, other in zip(found, expected):
            np.testing.assert_array_equal(np.asarray(mine), np.asarray(other))
