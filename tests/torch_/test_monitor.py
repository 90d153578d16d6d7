"""Compares the numbers of SamplingMonitor with NumPy."""

import copy
import math

import numpy as np
import pytest
import torch

from merlin_popsampler import PopSamplerError
from merlin_popsampler.core import sampling_numbers as names
from merlin_popsampler.torch import (
    AllItems,
    InBatch,
    PopularityBasedSampler,
    SampledSoftmaxLoss,
    SamplingMonitor,
    blocked_logits,
)

COUNTS = {3: 300, 4: 41, 5: 41, 6: 30, 7: 9, 8: 9, 9: 9, 10: 2, 11: 1, 12: 1, 13: 1, 14: 1}
IDS = [3, 14, 7, 7, 0, 5]
EXCLUDED = [[4, 14], [0, 0], [3, 7], [5, 9], [8, 0], [13, 6]]
SOURCES = {
    "samples": lambda: [sampler()],
    "repeats": lambda: [sampler(unique=False)],
    "in-batch": lambda: [InBatch.from_counts(COUNTS)],
    "both": lambda: [sampler(), InBatch.from_counts(COUNTS)],
}


def sampler(num=5, **settings):
    return PopularityBasedSampler.from_counts(COUNTS, max_num_samples=num, seed=17, **settings)


def numbers():
    torch.manual_seed(3)
    return torch.randn(6, 4), torch.tensor(IDS), torch.nn.Embedding(15, 4)


def by_hand(mixture, query, table, excluded, temperature, correct, strength):
    """Computes the numbers of a step, row by row, in float64."""
    batch = IDS if mixture.in_batch is not None else []
    drawn = [*batch, *mixture.sample_ids().tolist()]
    count = mixture.expected_count(torch.arange(15), 5).double().numpy() ** strength
    hits, effective = [], []
    for row, true_id in enumerate(IDS):
        if true_id == 0:
            continue
        left_out = [
            place for place in range(len(drawn)) if drawn[place] in (true_id, *excluded[row])
        ]
        hits.append(len(left_out) - (row in left_out if batch else 0))
        kept = [d for d in drawn if d != true_id and d not in excluded[row] and d >= 3]
        weights = [math.exp(query[row] @ table[d] / temperature) / count[d] for d in kept]
        effective.append(sum(weights) ** 2 / sum(w * w for w in weights))
    corrected = [d for d in drawn if d >= 3] + ([d for d in IDS if d] if correct else [])
    return {
        names.ACCIDENTAL_HITS: np.mean(hits),
        names.EFFECTIVE_SAMPLES: np.mean(effective),
        names.LARGEST_CORRECTION: max(abs(math.log(count[d])) for d in corrected),
        names.ROWS_WITHOUT_ITEM: 1,
        names.SHARE_DRAWN: len({d for d in drawn if d >= 3}) / 12,
    }


@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("correct", [True, False])
@pytest.mark.parametrize("sources", SOURCES)
def test_the_numbers_of_a_step(monkeypatch, sources, correct, blocks):
    if blocks:
        monkeypatch.setattr(blocked_logits, "LARGE_BYTES", 0)
        monkeypatch.setattr(blocked_logits, "BLOCK_BYTES", 4 * 6 * 3)
    query, ids, table = numbers()
    settings = {"correct_positive": correct, "logq_strength": 0.7}
    loss = SampledSoftmaxLoss(SOURCES[sources](), 0.5, **settings)
    twin = SampledSoftmaxLoss(SOURCES[sources](), 0.5, **settings)
    monitor = SamplingMonitor(loss)
    found = loss(query, ids, table, torch.tensor(EXCLUDED))
    assert found == twin(query, ids, table, torch.tensor(EXCLUDED))  # everything else is unchanged
    arrays = [x.detach().double().numpy() for x in (query, table.weight)]
    mixture = SampledSoftmaxLoss(SOURCES[sources]()).negatives
    expected = by_hand(mixture, *arrays, EXCLUDED, 0.5, correct, 0.7)
    assert monitor.step() == pytest.approx(expected, rel=1e-5)


def test_the_reference_in_numpy():
    """Compares with the formulas of `core`."""
    query, ids, table = numbers()
    loss = SampledSoftmaxLoss([sampler()])
    monitor = SamplingMonitor(loss, share_drawn=False)
    loss(query, ids, table)
    drawn = torch.from_numpy(np.array(sampler().sample_ids()))
    log_counts = sampler().expected_count(torch.cat([drawn, ids[ids > 0]])).log().numpy()
    hits = (ids[:, None] == drawn).numpy()
    logits = (query @ table(drawn).T).detach().numpy() - log_counts[:5]
    expected = names.step_numbers(
        np.where(hits, -np.inf, logits), hits, log_counts, (ids > 0).numpy()
    )
    assert monitor.step() == pytest.approx(expected, rel=1e-5)


def test_numbers_come_every_n_steps():
    query, ids, table = numbers()
    loss = SampledSoftmaxLoss(sampler())
    monitor, seen, shares = SamplingMonitor(loss, every=3), set(), []
    twin = sampler()
    for step in range(7):
        loss(query, ids, table)
        seen |= set(twin.sample_ids().tolist())
        found = monitor.step()
        assert bool(found) == (step % 3 == 0)
        if found:  # counts all steps, not only those with numbers
            assert found[names.SHARE_DRAWN] == pytest.approx(len(seen) / 12)
            shares.append(found[names.SHARE_DRAWN])
    assert shares == sorted(shares)


@pytest.mark.parametrize("ids", [[0, 0], []])
def test_a_batch_without_rows_with_an_item(ids):
    loss = SampledSoftmaxLoss(SOURCES["both"]())
    monitor = SamplingMonitor(loss)
    loss(torch.ones(len(ids), 4), torch.tensor(ids).long(), torch.ones(15, 4))
    found = monitor.step()
    assert math.isnan(found[names.EFFECTIVE_SAMPLES])
    assert found[names.ROWS_WITHOUT_ITEM] == len(ids)


def test_an_id_without_a_count_is_no_item():
    """It lies between the counted ids, so it is not reserved."""
    counts = {3: 5, 9: 2}
    with pytest.warns(UserWarning, match="5 ids between 3 and 9 are missing"):
        loss = SampledSoftmaxLoss(PopularityBasedSampler.from_counts(counts, max_num_samples=2))
    monitor = SamplingMonitor(loss)
    loss(torch.ones(4, 4), torch.tensor([3, 4, 9, 10]), torch.ones(11, 4))
    assert monitor.step()[names.ROWS_WITHOUT_ITEM] == 2


def test_a_row_without_candidates_has_no_samples():
    loss = SampledSoftmaxLoss(sampler())
    monitor = SamplingMonitor(loss)
    everything = torch.arange(15)[None]
    loss(torch.ones(2, 4), torch.tensor([3, 4]), torch.ones(15, 4), everything)
    assert monitor.step()[names.EFFECTIVE_SAMPLES] == 0


class Writer:
    def __init__(self):
        self.written = []

    def add_scalar(self, name, value, step):
        self.written.append((name, value, step))


def test_a_held_out_batch_is_a_function_that_returns_the_arguments():
    loss = SampledSoftmaxLoss(sampler(12))
    with pytest.raises(PopSamplerError, match="held_out to be a function without .* tuple"):
        SamplingMonitor(loss, held_out=numbers())
    with pytest.raises(PopSamplerError, match="held_out to return a tuple: queries, true ids"):
        SamplingMonitor(loss, held_out=lambda: torch.zeros(4, 2)).end_epoch()


def test_the_full_and_the_sampled_loss_of_a_held_out_batch():
    """With all items as samples both losses are equal; the stream is restored."""
    query, ids, table = numbers()
    loss, writer = SampledSoftmaxLoss(sampler(12, unique=True)), Writer()
    monitor = SamplingMonitor(
        loss, held_out=lambda: (query, ids, table, torch.tensor(EXCLUDED)), writer=writer
    )
    found = monitor.end_epoch()
    losses, _ = loss.evaluate(query, ids, table, torch.tensor(EXCLUDED))
    assert found[names.FULL_LOSS] == pytest.approx(losses.sum().item() / 5, rel=1e-6)
    assert found[names.SAMPLED_LOSS] == pytest.approx(found[names.FULL_LOSS], rel=1e-5)
    assert writer.written == [(name, value, 0) for name, value in found.items()]
    assert loss.negatives.sample_ids().tolist() == sampler(12).sample_ids().tolist()
    assert loss.training and SamplingMonitor(loss).end_epoch() == {}


def test_it_writes_to_tensorboard():
    query, ids, table = numbers()
    loss, writer = SampledSoftmaxLoss(sampler()), Writer()
    monitor = SamplingMonitor(loss, every=2, writer=writer)
    for _ in range(3):
        loss(query, ids, table)
        monitor.step()
    assert [step for name, _, step in writer.written if name == names.ROWS_WITHOUT_ITEM] == [1, 3]


class LightningModule:
    def __init__(self):
        self.logged = []

    def log_dict(self, found):
        self.logged.append(found)


def test_it_is_a_callback_of_lightning():
    """Lightning looks hooks up by name, so a callback need not be of its class."""
    query, ids, table = numbers()
    loss, module = SampledSoftmaxLoss(sampler()), LightningModule()
    monitor = SamplingMonitor(loss, every=2, held_out=lambda: (query, ids, table))
    for hook in ("setup", "on_fit_start", "on_train_start", "on_train_batch_start"):
        assert getattr(monitor, hook)(None, module) is None
    for step in range(3):
        loss(query, ids, table)
        monitor.on_train_batch_end(None, module, None, None, step)
    monitor.on_train_epoch_end(None, module)
    assert [len(found) for found in module.logged] == [5, 0, 5, 2]
    twin = SamplingMonitor(SampledSoftmaxLoss(sampler()), every=2)
    twin.load_state_dict(monitor.state_dict())
    assert twin.steps == 3 and not twin.observation.due
    with pytest.raises(AttributeError, match="no attribute"):
        monitor.anything  # noqa: B018


@pytest.mark.parametrize("sources", ["samples", "both"])
def test_it_is_compiled_with_the_loss(sources):
    query, ids, table = numbers()
    results = []
    for way in (
        lambda loss: loss,
        lambda loss: torch.compile(loss, fullgraph=True, backend="eager"),
    ):
        torch.compiler.reset()
        loss = SampledSoftmaxLoss(SOURCES[sources]())
        monitor, run, found = SamplingMonitor(loss, every=2), way(loss), []
        for _ in range(4):
            run(query, ids, table)
            found.append(monitor.step())
        results.append(found)
    assert [pytest.approx(each, rel=1e-5) for each in results[0]] == results[1]
    assert len(results[0][2]) == 5


def test_the_monitor_is_not_in_the_state_dict():
    loss = SampledSoftmaxLoss(sampler())
    names_before = list(loss.state_dict())
    SamplingMonitor(loss)
    assert list(loss.state_dict()) == names_before
    twin = copy.deepcopy(loss)
    assert twin.observation is not loss.observation


def test_what_cannot_be_monitored_is_refused():
    for loss in (SampledSoftmaxLoss(AllItems(14, 3)), torch.nn.CrossEntropyLoss(), None):
        with pytest.raises(PopSamplerError, match="itself; with AllItems"):
            SamplingMonitor(loss)
    with pytest.raises(PopSamplerError, match="every"):
        SamplingMonitor(SampledSoftmaxLoss(sampler()), every=0)
    with pytest.raises(PopSamplerError, match="writer that has the method add_scalar.*'runs'"):
        SamplingMonitor(SampledSoftmaxLoss(sampler()), writer="runs")
    with pytest.raises(PopSamplerError, match="share_drawn to be True or False"):
        SamplingMonitor(SampledSoftmaxLoss(sampler()), share_drawn="no")
    large = SampledSoftmaxLoss(PopularityBasedSampler(10**8 + 3, 3))
    with pytest.raises(PopSamplerError, match="share_drawn=False"):
        SamplingMonitor(large)
    SamplingMonitor(large, share_drawn=False)
