"""Tests the sampler's arguments, results and errors."""

import inspect

import numpy as np
import pandas as pd
import pytest
import torch

from merlin_popsampler import PopSamplerError, SchemaError
from merlin_popsampler.distributions import Empirical, LogUniform, PopularityCurve
from merlin_popsampler.torch import InBatch, PopularityBasedSampler
from tests.support.oracles import enumerate_inclusion, log_uniform_probs
from tests.support.processes import run_python

COUNTS = [300, 41, 41, 30, 9, 9, 9, 2, 1, 1, 1, 1]


def sampler(**settings):
    settings = {"max_id": 14, "min_id": 3, "max_num_samples": 5, "seed": 17, **settings}
    return PopularityBasedSampler(**settings)


def test_the_arguments_are_the_keras_layer_s():
    parameters = inspect.signature(PopularityBasedSampler).parameters
    assert {name: p.default for name, p in parameters.items()} == {
        "max_id": inspect.Parameter.empty,
        "min_id": 0,
        "max_num_samples": 100,
        "seed": None,
        "item_id_feature_name": "item_id",
        "unique": True,
        "distribution": "log_uniform",
        "share_across_replicas": False,
        "item_ids": None,
        "process_group": None,  # only in PyTorch
    }


def test_a_batch_and_its_expected_counts():
    layer = sampler()
    true_ids = torch.tensor([[3, 14], [0, 15]])
    sampled, true_count, sampled_count = values = layer(true_ids)
    assert sampled.dtype == torch.int64 and sampled.shape == (5,)
    assert true_count.dtype == sampled_count.dtype == torch.float32
    assert true_count.shape == (2, 2) and sampled_count.shape == (5,)
    assert values.sampled_ids is sampled and values.true_expected_count is true_count
    exact = enumerate_inclusion(log_uniform_probs(12), 5)
    np.testing.assert_allclose(sampled_count, exact[sampled - 3], rtol=1e-5)
    np.testing.assert_allclose(true_count, [[exact[0], exact[11]], [1.0, 1.0]], rtol=1e-5)


def test_a_printed_model_has_a_line_for_each_source_of_negatives():
    counts = {7: 5, 9: 8}
    drawn = PopularityBasedSampler.from_counts(counts, reserved_ids=[8], max_num_samples=2)
    in_batch = InBatch.from_counts(counts, reserved_ids=[8])
    names = [line.strip() for line in str(torch.nn.ModuleList([drawn, in_batch])).splitlines()]
    arguments = "Empirical(size=2), ids 7 to 9, max_num_samples=2, unique=True"
    assert names[1:-1] == [
        f"(0): PopularityBasedSampler({arguments})",
        "(1): InBatch(Empirical(size=2), ids 7 to 9, gather=False)",
    ]


def test_all_ways_to_call_give_one_answer():
    true_ids = torch.tensor([[3], [9]])
    ways = [
        lambda layer: layer(true_ids),
        lambda layer: layer({"item_id": true_ids, "user_id": true_ids}),
        lambda layer: layer.sampled_values(true_ids),
        lambda layer: layer.sampled_values([[3], [9]]),
        lambda layer: layer.sampled_values(np.array([[3], [9]], np.int32)),
        lambda layer: (
            layer.sample_ids(),
            layer.expected_count(true_ids),
            layer.expected_count(layer_ids()),
        ),
    ]

    def layer_ids():
        return sampler().sample_ids()

    expected = [part.tolist() for part in ways[0](sampler())]
    for way in ways[1:]:
        assert [part.tolist() for part in way(sampler())] == expected


def test_the_column_of_a_batch_has_the_name_that_was_given():
    layer = sampler(item_id_feature_name="product")
    assert layer({"product": torch.tensor([3])}).true_expected_count.shape == (1,)
    with pytest.raises(PopSamplerError, match="features by column, of which 'product'.*'item'"):
        layer({"item": torch.tensor([3])})


def test_expected_counts_with_replacement_and_probabilities():
    layer = sampler(unique=False, distribution=Empirical(PopularityCurve.from_counts(COUNTS)))
    probs = np.array(COUNTS) / sum(COUNTS)
    np.testing.assert_allclose(layer.expected_count(range(3, 15)), 5 * probs, rtol=1e-6)
    np.testing.assert_allclose(layer.probability(range(3, 15)), probs, rtol=1e-6)
    assert layer.probability([0, 2, 15, -1, 2**40]).tolist() == [0.0] * 5
    assert layer.expected_count([0, 2, 15, -1, 2**40]).tolist() == [1.0] * 5


def test_the_distribution_by_id():
    probs = sampler().get_distribution_probs()
    assert probs.dtype == torch.float32 and probs.shape == (15,)
    np.testing.assert_allclose(probs[3:], log_uniform_probs(12), rtol=1e-6)
    assert probs[:3].tolist() == [0.0] * 3
    with pytest.raises(PopSamplerError, match="list of all ids"):
        sampler(max_id=2 * 10**9).get_distribution_probs()


def test_ids_of_huge_catalogs():
    layer = PopularityBasedSampler(2**53 - 1, 3, 1000, 17, distribution=LogUniform(2**53 - 3))
    sampled, true_count, sampled_count = layer([3, 2**53 - 1])
    assert sampled.min() >= 3 and sampled.max() > 2**40
    for counts in (true_count, sampled_count):
        assert counts.isfinite().all() and (counts > 0).all()


def test_another_number_of_samples():
    layer, other = sampler(), sampler(max_num_samples=7)
    layer.sample_ids(), other.sample_ids()
    layer.set_max_num_samples(7)
    assert layer.max_num_samples == 7
    assert [part.tolist() for part in layer([3])] == [part.tolist() for part in other([3])]
    for wrong in (13, 0):
        with pytest.raises(PopSamplerError, match="max_num_samples"):
            layer.set_max_num_samples(wrong)
    assert layer.max_num_samples == len(layer.sample_ids()) == 7


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_num_samples": 13}, "at most 12 unique"),
        ({"max_id": 2}, "size of a catalog"),
        ({"distribution": "zipf"}, "a distribution's name"),
        ({"distribution": "empirical"}, "from_schema"),
        ({"distribution": LogUniform(11)}, "12 ids"),
        ({"seed": 0.5}, "seed"),
        ({"unique": "False"}, "unique to be True or False"),
        ({"share_across_replicas": None}, "share_across_replicas to be True or False"),
    ],
)
def test_refused(settings, message):
    with pytest.raises(PopSamplerError, match=message):
        sampler(**settings)


@pytest.mark.parametrize(
    "ids", [[3.0, 4.0], torch.tensor([True]), "3", [[3], [4, 5]], [None], torch.tensor([1j])]
)
def test_inputs_that_are_not_ids_are_refused(ids):
    for ask in (sampler().expected_count, sampler().probability, sampler()):
        with pytest.raises(PopSamplerError, match="ids"):
            ask(ids)


# ------------------------------------------------------------------ from Merlin


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Returns the sources of a sampler, all of one data set of three items."""
    import nvtabular as nvt
    from merlin.dataloader.torch import Loader
    from merlin.io import Dataset

    from merlin_popsampler import FrequencyCategorify

    folder = tmp_path_factory.mktemp("data")
    frame = pd.DataFrame({"item_id": ["tea"] * 6 + ["milk"] * 3 + ["jam"] * 2})
    encoder = FrequencyCategorify(out_path=str(folder / "fit"))
    workflow = nvt.Workflow(["item_id"] >> encoder >> nvt.ops.TagAsItemID())
    workflow.fit(Dataset(frame, cpu=True))
    workflow.transform(Dataset(frame, cpu=True)).to_parquet(str(folder / "data"))
    data = Dataset(str(folder / "data"), engine="parquet", cpu=True)
    loader = Loader(data, batch_size=4, shuffle=False, device="cpu")
    return {"Schema": data.schema, "Dataset": data, "Workflow": workflow, "Loader": loader}


@pytest.mark.parametrize("source", ["Schema", "Dataset", "Workflow", "Loader"])
def test_from_schema(source, sources):
    layer = PopularityBasedSampler.from_schema(sources[source], max_num_samples=2, seed=17)
    assert (layer.min_id, layer.max_id, layer.item_id_feature_name) == (3, 5, "item_id")
    np.testing.assert_allclose(layer.probability([3, 4, 5]), np.array([6, 3, 2]) / 11, rtol=1e-6)
    flat = PopularityBasedSampler.from_schema(sources[source], distortion=0.0, max_num_samples=2)
    np.testing.assert_allclose(flat.probability([3, 4, 5]), 1 / 3, rtol=1e-6)


def test_a_batch_of_the_loader_is_an_input(sources):
    features, _ = next(iter(sources["Loader"]))
    layer = PopularityBasedSampler.from_schema(sources["Loader"], max_num_samples=2)
    assert layer(features).true_expected_count.shape == features["item_id"].shape


def test_a_schema_that_says_nothing_is_refused():
    from merlin.schema import ColumnSchema, Schema

    with pytest.raises(SchemaError, match="item"):
        PopularityBasedSampler.from_schema(Schema([ColumnSchema("item_id")]))


# ------------------------------------------------------------------ what it loads


def test_drawing_loads_torch_and_nothing_else_that_is_heavy():
    program = """
import sys
import torch
before = set(sys.modules)
from merlin_popsampler.torch import PopularityBasedSampler
PopularityBasedSampler(9, 3, 2)([[4]])
print(*sorted({name.split(".")[0] for name in set(sys.modules) - before}))
"""
    loaded = set(run_python(program).split())
    heavy = {"tensorflow", "keras", "nvtabular", "merlin", "pandas", "dask", "pyarrow", "cudf"}
    heavy.add("sympy")  # of PyTorch's compiler, which takes as long to load as PyTorch
    assert "merlin_popsampler" in loaded
    assert loaded.isdisjoint(heavy)


def test_a_wrong_name_is_an_attribute_error():
    import merlin_popsampler.torch

    with pytest.raises(AttributeError, match="Sampler"):
        merlin_popsampler.torch.Sampler  # noqa: B018


@pytest.mark.parametrize("layout", ["to_sparse", "to_sparse_csr"])
def test_sparse_ids_are_refused_before_a_draw(layout):
    module, other = (PopularityBasedSampler(1002, 3, 20, 7) for _ in range(2))
    ids = getattr(torch.tensor([[5, 0], [0, 7]]), layout)()
    for method in (module.sampled_values, module.expected_count, module.probability):
        with pytest.raises(PopSamplerError, match=r"ids .* a sparse tensor\. Pass to_dense"):
            method(ids)
    assert torch.equal(module.sample_ids(), other.sample_ids())


@pytest.mark.parametrize("counts", [None, {7: 5, 3: 2}])
def test_ids_of_the_host_are_refused_by_a_sampler_on_the_meta_device(counts):
    module = PopularityBasedSampler(10, 3, 1)
    if counts:
        module = PopularityBasedSampler.from_counts(counts, max_num_samples=1)
    module.to("meta")
    for ids, where in (([7], "the host"), (np.array([7]), "the host"), (torch.tensor([7]), "cpu")):
        for method in (module.sampled_values, module.expected_count, module.probability):
            with pytest.raises(PopSamplerError, match=f"memory.*'meta'.*{where}.*to_empty"):
                method(ids)
