"""A sampler's arguments: from a schema, and checked; whatever the framework."""

import warnings

import numpy as np
import pandas as pd
import pytest
from merlin.io import Dataset
from merlin.schema import ColumnSchema, Schema, Tags

from merlin_popsampler.contract.metadata import PopularityMetadata
from merlin_popsampler.contract.sampler_settings import arguments_from_schema, law_over, seed_of
from merlin_popsampler.contract.schema import with_popularity
from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.core.laws import Empirical, LogUniform, Uniform
from merlin_popsampler.core.steps import Steps
from merlin_popsampler.errors import PopSamplerError, SchemaError

COUNTS = np.sort(np.random.default_rng(0).geometric(0.01, 200))[::-1]
MEASURED = Empirical(Steps.from_counts(COUNTS))


def categorified(name="item_id", highest=202):
    """A column as Categorify leaves it: ids 3 to `highest`, the curve not yet there."""
    domain = {"min": 0, "max": highest, "name": name}
    properties = {"domain": domain, "cat_path": "unique.parquet", "num_buckets": None}
    return ColumnSchema(name, dtype=np.int64, tags=[Tags.ITEM_ID], properties=properties)


def measured(counts=COUNTS, name="item_id"):
    metadata = PopularityMetadata.from_counts(np.asarray(counts), 3, "counted", 256)
    return Schema([with_popularity(categorified(name, 2 + len(counts)), metadata)])


def arguments(source, column=None, distortion=1.0, **overrides):
    return arguments_from_schema(source, column, distortion, overrides)


def test_a_measured_schema_tells_all():
    assert arguments(measured(name="product")) == {
        "max_id": 202,
        "min_id": 3,
        "item_id_feature_name": "product",
        "law": MEASURED,
    }


def test_a_data_set_tells_the_same():
    schema = measured()
    dataset = Dataset(pd.DataFrame({"item_id": [3, 4]}), schema=schema)
    for source in (schema, dataset):  # workflows and loaders: in tests/integration
        assert arguments(source) == arguments(schema)


@pytest.mark.parametrize(
    ("law", "expected"),
    [
        ("auto", MEASURED),
        ("empirical", MEASURED),
        ("log_uniform", LogUniform(200)),
        ("uniform", Uniform(200)),
        (LogUniform(200), LogUniform(200)),
        (MEASURED.get_config(), MEASURED),
    ],
)
def test_the_law_is_a_choice(law, expected):
    found = arguments(measured(), law=law)
    assert law_over(found["law"], IdDomain(found["min_id"], found["max_id"])) == expected


def test_distortion_and_overrides():
    found = arguments(measured(), distortion=0.75, max_num_samples=7, min_id=4)
    assert found["law"] == Empirical(MEASURED.steps, 0.75)
    assert (found["max_num_samples"], found["min_id"]) == (7, 4)


@pytest.mark.parametrize(
    "law", ["log_uniform", "uniform", LogUniform(200), Empirical(MEASURED.steps, 0.5)], ids=repr
)
def test_only_the_measured_law_can_be_distorted(law):
    with pytest.raises(PopSamplerError, match=r"distortion only.*Received: distortion=0\.75 with"):
        arguments(measured(), distortion=0.75, law=law)
    assert arguments(measured(), distortion=1.0, law=law)["law"] == law
    assert arguments(measured(), distortion=0.75, law=MEASURED)["law"].distortion == 0.75


def test_a_column_by_name():
    schema = measured(name="a") + measured(COUNTS[:150], name="b")
    assert arguments(schema, "b")["max_id"] == 152
    with pytest.raises(SchemaError, match="a.*b"):
        arguments(schema)


def test_an_assumed_order_gives_log_uniform_and_a_warning():
    with pytest.warns(UserWarning, match="no proof"):
        found = arguments(Schema([categorified()]))
    assert (found["min_id"], found["max_id"], found["law"]) == (3, 202, LogUniform(200))
    with pytest.warns(UserWarning, match="no proof"), pytest.raises(SchemaError, match="item_id"):
        arguments(Schema([categorified()]), law="empirical")
    with pytest.warns(UserWarning, match="no proof"), pytest.raises(PopSamplerError, match="0.5"):
        arguments(Schema([categorified()]), distortion=0.5)


def test_unordered_ids_need_a_law_by_name():
    schema = measured(COUNTS[::-1])
    for law in ("auto", "empirical"):
        with pytest.raises(SchemaError, match="'item_id'.*decreasing frequency.*law='uniform'"):
            arguments(schema, law=law)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # without a popularity, the order does not matter
        assert arguments(schema, law="uniform")["law"] == "uniform"
        assert arguments(measured(), law="log_uniform")["law"] == "log_uniform"


@pytest.mark.parametrize("law", ["log_uniform", LogUniform(200), MEASURED], ids=repr)
def test_a_popularity_over_unordered_ids_is_taken_with_a_warning(law):
    advice = "'item_id'.*not sorted by frequency.*low ids more often.*law='uniform'"
    with pytest.warns(UserWarning, match=advice):
        found = arguments(measured(COUNTS[::-1]), law=law)
    assert found["law"] == law


@pytest.mark.parametrize("distortion", ["a", None, [1.0], -1.0, float("nan")])
def test_a_distortion_is_a_number(distortion):
    with pytest.raises(PopSamplerError, match="distortion"):
        arguments(measured(), distortion=distortion)


def test_too_much_distortion_is_refused_and_the_advice_works():
    steep = measured([1000, 10, 1])
    for distortion in (20.0, 100.0, 200.0):
        with pytest.raises(PopSamplerError, match=r"1e-37.*smaller distortion.*1\.0"):
            arguments(steep, distortion=distortion)
    assert arguments(steep, distortion=1.0)["law"].prob([2]) == pytest.approx([1 / 1011])


def test_no_items():
    with pytest.raises(SchemaError, match=r"'item_id'.*(?i:at least one item)") as error:
        arguments(measured(np.zeros(0, np.int64)))
    assert "law=" not in str(error.value)  # a law by name would not help


DOMAIN = IdDomain(3, 9)


@pytest.mark.parametrize(
    ("law", "message"),
    [
        ("zipf", "'zipf'"),
        ("auto", "'auto'"),
        ("empirical", "from_schema"),
        (None, "Received: None"),
        (7, "Received: 7"),
        ({"name": ["uniform"], "size": 7}, "law's name"),
        ({"name": "uniform", "size": "a"}, "size"),
        ({"name": "log_uniform", "size": 2**70}, "size"),
        ({"name": "empirical", "size": 7, "steps": "0:9,7", "distortion": "a"}, "distortion"),
        ({"name": "empirical", "size": 7, "steps": "0:9,1:6,7", "distortion": 500.0}, "1e-37"),
        (LogUniform(8), "over the 7 ids 3 to 9"),
        (LogUniform(6), "over the 7 ids 3 to 9"),
        ({"name": "zipf", "size": 7}, "'zipf'"),
        ({"size": 7}, "None"),
        ({"name": "uniform"}, "size"),
        ({"name": "uniform", "size": 7, "more": 1}, "more"),
        ({"name": "uniform", "size": 6.5}, "size"),
        ({"name": "uniform", "size": 8}, "over the 7 ids"),
        ({"name": "empirical", "size": 7, "steps": "0:1,9:1,7"}, "steps"),
        ({"name": "empirical", "steps": "0:1,1"}, "size"),
    ],
)
def test_what_is_no_law_of_these_ids_is_refused(law, message):
    with pytest.raises(PopSamplerError, match=message):
        law_over(law, DOMAIN)


def test_laws_of_these_ids():
    assert law_over("log_uniform", DOMAIN) == LogUniform(7)
    assert law_over(Uniform(7), DOMAIN) == Uniform(7)
    assert law_over({"name": "uniform", "size": 7.0}, DOMAIN) == Uniform(7)
    with pytest.raises(PopSamplerError, match="at least one item"):
        law_over("uniform", IdDomain(3, 2))


def test_seeds():
    assert seed_of(None) is None
    for seed in (0, 17, -(2**63), 2**64 - 1, np.uint64(2**63), 5.0):
        assert seed_of(seed) == seed
        assert type(seed_of(seed)) is int
    for seed in ("x", True, 1.5, 2**64, -(2**63) - 1):
        with pytest.raises(PopSamplerError, match="seed to be a whole number.*integer of 64 bits"):
            seed_of(seed)
