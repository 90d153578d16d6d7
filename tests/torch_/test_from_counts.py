"""Compares a sampler over ids of the user with one over ranks, through a permutation."""

import copy
import io
import pickle
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from merlin_popsampler import PopSamplerError
from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.torch import PopularityBasedSampler, SampledSoftmaxLoss, warm_start

IDS = np.random.default_rng(5).permutation(400)[:300]
"""The id of each rank; 100 of the ids below 400 are not items."""
COUNTS = np.sort(np.random.default_rng(6).zipf(1.5, 300).clip(max=10**6))[::-1] * 300 + np.arange(
    300, 0, -1
)
"""Counts by rank, all different, so that the order has no ties."""
RANKS = PopularityBasedSampler.from_counts(COUNTS, max_num_samples=40, seed=17)


def mapped(**arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about missing ids in the range
        shuffled = np.random.default_rng(7).permutation(300)
        counts = (IDS[shuffled], COUNTS[shuffled])
        return PopularityBasedSampler.from_counts(
            counts, **{"max_num_samples": 40, "seed": 17, **arguments}
        )


def ids_of_ranks(ranks):
    return torch.from_numpy(IDS)[ranks]


def test_ids_in_order_need_no_map():
    assert RANKS.domain == IdDomain(0, 299)
    assert not any("domain" in key for key in RANKS.state_dict())


@pytest.mark.parametrize("unique", [True, False])
def test_draws_and_counts_are_those_of_the_ranks(unique):
    plain = PopularityBasedSampler.from_counts(COUNTS, max_num_samples=40, seed=17, unique=unique)
    sampler = mapped(unique=unique)
    for _ in range(3):
        expected, drawn = plain.sample_ids(), sampler.sample_ids()
        assert torch.equal(drawn, ids_of_ranks(expected))
        assert drawn.dtype == torch.int64
    ranks = torch.arange(300)
    for ask in ("expected_count", "probability"):
        found = getattr(sampler, ask)(ids_of_ranks(ranks))
        assert torch.equal(found, getattr(plain, ask)(ranks))


def test_what_is_not_counted_is_never_drawn_and_never_corrected():
    sampler = mapped()
    unknown = torch.tensor([-1, 10**12, *sorted(set(range(400)) - set(IDS.tolist()))])
    assert (sampler.expected_count(unknown) == 1.0).all()
    assert (sampler.probability(unknown) == 0.0).all()
    assert not set(unknown.tolist()) & set(
        torch.cat([sampler.sample_ids() for _ in range(99)]).tolist()
    )


def test_probabilities_are_listed_by_id():
    probs = mapped().get_distribution_probs()
    assert probs.shape == (IDS.max() + 1,)
    assert torch.equal(probs[torch.from_numpy(IDS)], RANKS.get_distribution_probs())
    assert float(probs.sum()) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("kind", ["module", "tensor"])
def test_losses_gradients_and_ranks_follow_the_permutation(kind):
    generator = torch.Generator().manual_seed(3)
    vectors = torch.randn(300, 8, generator=generator)
    queries = torch.randn(6, 8, generator=generator)
    true_ranks = torch.tensor([0, 7, 299, 41, 7, 120])
    excluded = torch.tensor([[1, 2, 3]] * 6)
    by_id = torch.zeros(400, 8).index_copy(0, torch.from_numpy(IDS), vectors)
    answers = []
    for sampler, table, map_ids in (
        (copy.deepcopy(RANKS), vectors, lambda ranks: ranks),
        (mapped(), by_id, ids_of_ranks),
    ):
        sampler.stream.set_extra_state(mapped().stream.get_extra_state())
        module = torch.nn.Embedding.from_pretrained(table.clone(), freeze=False)
        weight = module.weight
        module = module if kind == "module" else weight
        loss = SampledSoftmaxLoss(sampler, 0.7)
        trained = loss(queries, map_ids(true_ranks), module, map_ids(excluded))
        trained.backward()
        evaluated = loss.evaluate(queries, map_ids(true_ranks), module, map_ids(excluded))
        answers.append((trained, weight.grad[map_ids(torch.arange(300))], *evaluated))
    for expected, found in zip(*answers):
        assert torch.allclose(expected, found, atol=1e-6)


def test_rows_of_uncounted_items_are_left_out():
    sampler = mapped()
    missing = next(i for i in range(400) if i not in IDS)
    loss, table = SampledSoftmaxLoss(sampler, reduction="none"), torch.nn.Embedding(400, 4)
    ids, queries = torch.tensor([missing, int(IDS[5])]), torch.randn(2, 4)
    assert loss(queries, ids, table)[0] == 0.0
    assert loss(queries, ids, table)[1] > 0.0
    assert loss.evaluate(queries, ids, table)[1].tolist()[0] == -1


def test_compiled_and_exported_draws_are_the_eager_ones():
    expected = [mapped().sample_ids()]
    compiled = mapped()
    draw = torch.compile(compiled.sampled_values, fullgraph=True, backend="eager")
    found = draw(torch.tensor([int(IDS[0]), 399]))
    assert torch.equal(found.sampled_ids, expected[0])
    exported = torch.export.export(mapped(), (torch.tensor([int(IDS[0])]),)).module()
    assert torch.equal(exported(torch.tensor([int(IDS[0])])).sampled_ids, expected[0])


def saved(module):
    buffer = io.BytesIO()
    torch.save(module.state_dict(), buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


def test_a_state_goes_on_where_it_stopped():
    first, second = mapped(), mapped()
    first.sample_ids()
    second.load_state_dict(saved(first))
    assert torch.equal(first.sample_ids(), second.sample_ids())


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
def test_copies_have_the_map(copied):
    sampler = mapped()
    assert torch.equal(copied(sampler).sample_ids(), sampler.sample_ids())


def test_a_state_over_other_items_is_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = PopularityBasedSampler.from_counts((IDS, COUNTS[::-1].copy()), max_num_samples=40)
        fewer = PopularityBasedSampler.from_counts((IDS[:50], COUNTS[:50]), max_num_samples=5)
    for sampler in (other, fewer):
        with pytest.raises(PopSamplerError, match="same .* items in the same order"):
            sampler.load_state_dict(saved(mapped()))


def test_new_counts_go_on_from_a_state_as_the_error_says():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        later = PopularityBasedSampler.from_counts((IDS, COUNTS[::-1].copy()), max_num_samples=40)
    state = saved(torch.nn.ModuleDict({"sampler": mapped()}))
    model = torch.nn.ModuleDict({"sampler": later})
    with pytest.raises(PopSamplerError, match=r"new counts, use warm_start\(model, state, {}\)"):
        model.load_state_dict(state)
    warm_start(model, state, {})
    assert torch.equal(later.stream.get_extra_state(), state["sampler.stream._extra_state"])


def test_the_map_survives_the_meta_device_casts_and_averages():
    """Cases as for the tables: `to_empty`, `half`, an average with buffers, a moved module."""
    with torch.device("meta"):
        module = mapped()
    module.to_empty(device="cpu")
    module.load_state_dict(saved(mapped()))
    averaged = torch.optim.swa_utils.AveragedModel(mapped(), use_buffers=True)
    averaged.update_parameters(mapped())
    averaged.update_parameters(mapped())
    expected = mapped().sample_ids()
    for sampler in (
        module,
        mapped().half(),
        averaged.module,
        mapped().to("meta").to_empty(device="cpu"),
    ):
        assert torch.equal(sampler.sample_ids(), expected)


def test_results_on_the_meta_device_have_no_values():
    """Regression: the map stays on the CPU, so the ids drawn were unset memory."""
    module = mapped().to("meta")
    ids = torch.empty(2, 3, dtype=torch.int64, device="meta")
    found = [module.expected_count(ids), module.probability(ids), *module.sampled_values(ids)]
    found += [module.sample_ids(), module.get_distribution_probs()]
    assert all(tensor.is_meta for tensor in found)
    shapes = [tuple(tensor.shape) for tensor in found]
    assert shapes == [(2, 3), (2, 3), (40,), (2, 3), (40,), (40,), (module.max_id + 1,)]
    assert module.sample_ids().dtype == torch.int64
    module.to_empty(device="cpu")
    assert torch.equal(module.sample_ids(), mapped().sample_ids())


def test_arguments_that_contradict_the_ids_are_refused():
    with pytest.raises(PopSamplerError, match="smallest and largest"):
        PopularityBasedSampler(9, 1, 2, item_ids=[1, 3, 2], distribution="uniform")
    with pytest.raises(PopSamplerError, match="differ from each other"):
        PopularityBasedSampler(3, 1, 2, item_ids=[1, 3, 3], distribution="uniform")
    with pytest.raises(PopSamplerError, match="flat list of ids"):
        PopularityBasedSampler(3, 1, 2, item_ids=[[1, 3]], distribution="uniform")


def test_the_distortion_and_the_distribution_are_the_callers():
    flat = mapped(distortion=0.0)
    assert torch.equal(flat.probability(torch.from_numpy(IDS[[0, 299]])), torch.full((2,), 1 / 300))
    assert mapped(distribution="log_uniform").distribution.name == "log_uniform"
    with pytest.raises(PopSamplerError, match="measured distribution"):
        mapped(distribution="uniform", distortion=0.5)
