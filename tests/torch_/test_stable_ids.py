"""Tests PyTorch's samplers from a schema with stable ids."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from merlin_popsampler import IdMap, SchemaError
from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.torch import (
    InBatch,
    PopularityBasedSampler,
    SampledSoftmaxLoss,
    warm_start,
)
from tests.support.stable_ids import GONE, P, check_drawn, data_set


@pytest.fixture
def folder(tmp_path):
    return data_set(tmp_path)


def test_counts_are_exact_and_vanished_items_get_no_correction(folder):
    sampler = PopularityBasedSampler.from_schema(folder, max_num_samples=4, unique=False)
    expected = np.where(P > 0, 4 * P, 1.0)
    np.testing.assert_allclose(sampler.expected_count(range(16)).numpy(), expected, rtol=1e-6)
    np.testing.assert_allclose(sampler.probability(range(16)).numpy(), P, rtol=1e-6)
    np.testing.assert_allclose(sampler.get_distribution_probs().numpy(), P[:15], rtol=1e-6)
    assert sampler.expected_count(GONE).tolist() == [1.0] * 4


@pytest.mark.parametrize("unique", [True, False])
def test_what_is_gone_is_never_drawn_and_all_else_is(unique, folder):
    sampler = PopularityBasedSampler.from_schema(folder, max_num_samples=9, seed=17, unique=unique)
    drawn = torch.cat([sampler.sample_ids() for _ in range(1000)]).numpy()
    check_drawn(drawn, unique)


def test_the_file_is_read_once(folder):
    sampler = PopularityBasedSampler.from_schema(folder, max_num_samples=4, seed=17)
    (folder / "ranks.item_id.int32").unlink()
    again = copy.deepcopy(sampler)
    assert sampler.sample_ids().tolist() == again.sample_ids().tolist()
    with pytest.raises(SchemaError, match="file of its ids by rank"):
        PopularityBasedSampler.from_schema(folder, max_num_samples=4)


def test_negatives_of_the_batch_go_by_the_same_ids(folder):
    in_batch = InBatch.from_schema(folder)
    found = in_batch.expected_count(torch.arange(16), 5).numpy()
    np.testing.assert_allclose(found, 4 * P, rtol=1e-6)


def test_a_warm_start_enlarges_the_table_and_goes_on_drawing(folder):
    """Ids 0 to 12 of the earlier fit are unchanged; 13 to 15 are new."""
    ids = IdMap(range(13), IdDomain(3, 12), IdDomain(3, 15))

    def make(domain, *negatives):
        items = torch.nn.Embedding(domain.cardinality, 4)
        return torch.nn.ModuleDict({"table": items, "loss": SampledSoftmaxLoss([*negatives])})

    def sampler():
        return PopularityBasedSampler.from_schema(folder, max_num_samples=4, seed=17)

    before = PopularityBasedSampler(12, 3, 4, seed=17)
    counts = np.arange(13, 0, -1)
    old = make(ids.old, before, InBatch.from_counts(counts, reserved_ids=[0, 1, 2]))
    after, expected = sampler(), sampler()
    new = make(ids.new, after, InBatch.from_schema(folder))
    for drawing in (before, expected):
        drawing.sample_ids()
    report = warm_start(new, old, {"table": ids})
    assert list(report.tables) == ["table.weight"]
    assert torch.equal(new["table"].weight[:13], old["table"].weight)
    assert after.sample_ids().tolist() == expected.sample_ids().tolist()
