"""What a sampler is built from: checked at construction, completed from a schema."""

import numpy as np
import pandas as pd
import pytest

tf = pytest.importorskip("tensorflow")

from merlin.io import Dataset
from merlin.schema import ColumnSchema, Schema, Tags

from merlin_popsampler.contract.metadata import PopularityMetadata
from merlin_popsampler.contract.schema import with_popularity
from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.core.laws import Empirical, LogUniform, Uniform
from merlin_popsampler.core.steps import Steps
from merlin_popsampler.errors import PopSamplerError, SchemaError
from merlin_popsampler.tf.sampler import PopularityBasedSampler

COUNTS = np.sort(np.random.default_rng(0).geometric(0.01, 200))[::-1]


def categorified(name="item_id", highest=202):
    """A column as Categorify leaves it: ids 3 to `highest`, the curve not yet there."""
    domain = {"min": 0, "max": highest, "name": name}
    properties = {"domain": domain, "cat_path": "unique.parquet", "num_buckets": None}
    return ColumnSchema(name, dtype=np.int64, tags=[Tags.ITEM_ID], properties=properties)


def measured(counts=COUNTS, name="item_id"):
    metadata = PopularityMetadata.from_counts(np.asarray(counts), 3, "counted", 256)
    return Schema([with_popularity(categorified(name, 2 + len(counts)), metadata)])


def test_a_measured_schema_needs_no_argument():
    sampler = PopularityBasedSampler.from_schema(measured(name="product"))
    assert (sampler.min_id, sampler.max_id, sampler.max_num_samples) == (3, 202, 100)
    assert sampler.item_id_feature_name == "product"
    assert sampler.law == Empirical(Steps.from_counts(COUNTS))


def test_a_data_set_gives_the_same_sampler():
    schema = measured()
    dataset = Dataset(pd.DataFrame({"item_id": [3, 4]}), schema=schema)
    for source in (schema, dataset):  # workflows and loaders: in tests/integration
        assert PopularityBasedSampler.from_schema(source).law == Empirical(
            Steps.from_counts(COUNTS)
        )


@pytest.mark.parametrize(
    ("law", "expected"),
    [
        ("auto", Empirical(Steps.from_counts(COUNTS))),
        ("empirical", Empirical(Steps.from_counts(COUNTS))),
        ("log_uniform", LogUniform(200)),
        ("uniform", Uniform(200)),
        (LogUniform(200), LogUniform(200)),
    ],
)
def test_the_law_is_a_choice(law, expected):
    assert PopularityBasedSampler.from_schema(measured(), law=law).law == expected


def test_distortion_and_overrides_reach_the_sampler():
    sampler = PopularityBasedSampler.from_schema(
        measured(), distortion=0.75, max_num_samples=7, seed=1, unique=False, name="negatives"
    )
    assert sampler.law == Empirical(Steps.from_counts(COUNTS), 0.75)
    assert (sampler.max_num_samples, sampler.seed, sampler.unique) == (7, 1, False)
    assert sampler.name == "negatives"


def test_a_column_by_name():
    schema = measured(name="a") + measured(COUNTS[:150], name="b")
    assert PopularityBasedSampler.from_schema(schema, "b").max_id == 152
    with pytest.raises(SchemaError, match="a.*b"):
        PopularityBasedSampler.from_schema(schema)


def test_an_assumed_order_gives_log_uniform_and_a_warning():
    with pytest.warns(UserWarning, match="no proof"):
        sampler = PopularityBasedSampler.from_schema(Schema([categorified()]))
    assert (sampler.min_id, sampler.max_id, sampler.law) == (3, 202, LogUniform(200))
    with pytest.warns(UserWarning, match="no proof"), pytest.raises(SchemaError, match="item_id"):
        PopularityBasedSampler.from_schema(Schema([categorified()]), law="empirical")


def test_unordered_ids_need_a_law_by_name():
    schema = measured(COUNTS[::-1])
    for law in ("auto", "empirical"):
        with pytest.raises(SchemaError, match="'item_id'.*decreasing frequency"):
            PopularityBasedSampler.from_schema(schema, law=law)
    assert PopularityBasedSampler.from_schema(schema, law="uniform").law == Uniform(200)


def test_few_items_and_none():
    with pytest.raises(PopSamplerError, match="at most 5 unique"):
        PopularityBasedSampler.from_schema(measured([5, 4, 3, 2, 1]))
    assert PopularityBasedSampler.from_schema(measured([5, 4, 3]), max_num_samples=3).max_id == 5
    for law in ("auto", "uniform"):
        with pytest.raises(PopSamplerError, match=r"(?i)at least one item"):
            PopularityBasedSampler.from_schema(measured(np.zeros(0, np.int64)), law=law)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_id": 2, "min_id": 3}, "at least one item"),
        ({"max_id": 1, "min_id": 3}, "min_id <= max_id"),
        ({"min_id": -1}, "min_id"),
        ({"max_id": 9.5}, "max_id"),
        ({"max_id": "9"}, "max_id"),
        ({"max_num_samples": 0}, "max_num_samples"),
        ({"max_num_samples": -1}, "max_num_samples"),
        ({"max_num_samples": 2.5}, "max_num_samples"),
        ({"max_num_samples": True}, "max_num_samples"),
        ({"max_num_samples": 8}, "at most 7 unique"),
        ({"seed": "x"}, "seed"),
        ({"seed": 1.0}, "seed"),
        ({"seed": True}, "seed"),
        ({"seed": 2**64}, "seed"),
        ({"law": "zipf"}, "zipf"),
        ({"law": "auto"}, "from_schema"),
        ({"law": "empirical"}, "from_schema"),
        ({"law": None}, "law"),
        ({"law": LogUniform(8)}, "over the 7 ids 3 to 9"),
        ({"law": {"name": "zipf", "size": 7}}, "zipf"),
        ({"distortion": 0.75}, "distortion"),
    ],
)
def test_what_cannot_be_right_is_refused_at_construction(settings, message):
    with pytest.raises(PopSamplerError, match=message):
        PopularityBasedSampler(**{"max_id": 9, "min_id": 3, "max_num_samples": 7, **settings})


def test_integers_of_other_libraries_are_fine():
    sampler = PopularityBasedSampler(
        max_id=np.int64(9), min_id=3.0, max_num_samples=np.int32(7), seed=np.uint64(2**63)
    )
    config = sampler.get_config()
    assert {type(config[name]) for name in ("max_id", "min_id", "max_num_samples", "seed")} == {int}


def test_repeated_draws_may_outnumber_the_items():
    sampler = PopularityBasedSampler(9, 3, 50, 17, unique=False)
    assert sampler.sample_ids().shape == (50,)


def test_a_domain_of_one_item():
    sampler = PopularityBasedSampler(3, 3, 1)
    np.testing.assert_array_equal(sampler.sample_ids(), [3])
    np.testing.assert_array_equal(sampler.expected_count([2, 3, 4]), [1, 1, 1])
    assert IdDomain(3, 3).size == 1
