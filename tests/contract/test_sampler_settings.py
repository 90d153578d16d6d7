"""Tests the arguments of samplers, from a schema or checked, without a framework."""

import warnings

import numpy as np
import pandas as pd
import pytest
from merlin.io import Dataset
from merlin.schema import ColumnSchema, Schema, Tags

from merlin_popsampler.contract.metadata import PopularityMetadata
from merlin_popsampler.contract.sampler_settings import (
    measured_distribution,
    resolve_distribution,
    sampler_kwargs_from_counts,
    sampler_kwargs_from_schema,
    validate_seed,
)
from merlin_popsampler.contract.schema import with_popularity
from merlin_popsampler.core.distributions import Empirical, LogUniform, Uniform
from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.core.popularity_curve import PopularityCurve
from merlin_popsampler.errors import PopSamplerError, SchemaError

COUNTS = np.sort(np.random.default_rng(0).geometric(0.01, 200))[::-1]
MEASURED = Empirical(PopularityCurve.from_counts(COUNTS))


def categorified(name="item_id", highest=202):
    """Returns a column as Categorify writes it: ids 3 to `highest`, without a curve."""
    domain = {"min": 0, "max": highest, "name": name}
    properties = {"domain": domain, "cat_path": "unique.parquet", "num_buckets": None}
    return ColumnSchema(name, dtype=np.int64, tags=[Tags.ITEM_ID], properties=properties)


def measured(counts=COUNTS, name="item_id"):
    metadata = PopularityMetadata.from_counts(np.asarray(counts), 3, "counted", 256)
    return Schema([with_popularity(categorified(name, 2 + len(counts)), metadata)])


def arguments(source, column=None, distortion=1.0, **overrides):
    return sampler_kwargs_from_schema(source, column, distortion, overrides)


def test_a_measured_schema_gives_all_arguments():
    assert arguments(measured(name="product")) == {
        "max_id": 202,
        "min_id": 3,
        "item_id_feature_name": "product",
        "distribution": MEASURED,
    }


def test_a_data_set_gives_the_same_arguments():
    schema = measured()
    dataset = Dataset(pd.DataFrame({"item_id": [3, 4]}), schema=schema)
    for source in (schema, dataset):  # workflows and loaders: in tests/integration
        assert arguments(source) == arguments(schema)


@pytest.mark.parametrize(
    ("distribution", "expected"),
    [
        ("auto", MEASURED),
        ("empirical", MEASURED),
        ("log_uniform", LogUniform(200)),
        ("uniform", Uniform(200)),
        (LogUniform(200), LogUniform(200)),
        (MEASURED.get_config(), MEASURED),
    ],
)
def test_the_distribution_is_a_choice(distribution, expected):
    found = arguments(measured(), distribution=distribution)
    assert (
        resolve_distribution(found["distribution"], IdDomain(found["min_id"], found["max_id"]))
        == expected
    )


def test_distortion_and_overrides():
    found = arguments(measured(), distortion=0.75, max_num_samples=7, min_id=4)
    assert found["distribution"] == Empirical(MEASURED.steps, 0.75)
    assert (found["max_num_samples"], found["min_id"]) == (7, 4)


@pytest.mark.parametrize(
    "distribution",
    ["log_uniform", "uniform", LogUniform(200), Empirical(MEASURED.steps, 0.5)],
    ids=repr,
)
def test_only_the_measured_distribution_can_be_distorted(distribution):
    with pytest.raises(PopSamplerError, match=r"distortion only.*Received: distortion=0\.75 with"):
        arguments(measured(), distortion=0.75, distribution=distribution)
    with pytest.raises(PopSamplerError, match="Leave one of them out"):
        arguments(measured(COUNTS[::-1]), distortion=0.75, distribution="uniform")
    assert (
        arguments(measured(), distortion=1.0, distribution=distribution)["distribution"]
        == distribution
    )
    assert (
        arguments(measured(), distortion=0.75, distribution=MEASURED)["distribution"].distortion
        == 0.75
    )


def test_a_column_by_name():
    schema = measured(name="a") + measured(COUNTS[:150], name="b")
    assert arguments(schema, "b")["max_id"] == 152
    with pytest.raises(SchemaError, match="a.*b"):
        arguments(schema)


def test_an_assumed_order_gives_log_uniform_and_a_warning():
    with pytest.warns(UserWarning, match="no proof"):
        found = arguments(Schema([categorified()]))
    assert (found["min_id"], found["max_id"], found["distribution"]) == (3, 202, LogUniform(200))
    with pytest.warns(UserWarning, match="no proof"), pytest.raises(
        SchemaError, match="item_id.*but in-batch negatives do not"
    ):
        arguments(Schema([categorified()]), distribution="empirical")
    with pytest.warns(UserWarning, match="no proof"), pytest.raises(
        SchemaError, match="expected the steps.*'log_uniform' without a distortion"
    ):
        arguments(Schema([categorified()]), distortion=0.5)


def test_unordered_ids_need_a_distribution_by_name():
    schema = measured(COUNTS[::-1])
    with pytest.raises(
        SchemaError, match="'item_id'.*decreasing frequency.*distribution='uniform'"
    ):
        arguments(schema)
    with pytest.raises(SchemaError, match="'item_id'.*decreasing frequency") as error:
        arguments(schema, distribution="empirical")
    assert "uniform" not in str(error.value)  # in-batch negatives do not take it
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # without a popularity, the order does not matter
        assert arguments(schema, distribution="uniform")["distribution"] == "uniform"
        assert arguments(measured(), distribution="log_uniform")["distribution"] == "log_uniform"


@pytest.mark.parametrize("distribution", ["log_uniform", LogUniform(200), MEASURED], ids=repr)
def test_a_popularity_over_unordered_ids_is_taken_with_a_warning(distribution):
    advice = "'item_id'.*not sorted by frequency.*low ids more often.*distribution='uniform'"
    with pytest.warns(UserWarning, match=advice):
        found = arguments(measured(COUNTS[::-1]), distribution=distribution)
    assert found["distribution"] == distribution


@pytest.mark.parametrize("distortion", ["a", None, [1.0], -1.0, float("nan")])
def test_a_distortion_is_a_number(distortion):
    with pytest.raises(PopSamplerError, match="distortion"):
        arguments(measured(), distortion=distortion)


def test_too_much_distortion_is_refused_and_the_advice_works():
    steep = measured([1000, 10, 1])
    for distortion in (20.0, 100.0, 200.0):
        with pytest.raises(PopSamplerError, match=r"1e-37.*smaller distortion.*1\.0"):
            arguments(steep, distortion=distortion)
    assert arguments(steep, distortion=1.0)["distribution"].prob([2]) == pytest.approx([1 / 1011])


def test_no_items():
    with pytest.raises(SchemaError, match=r"'item_id'.*(?i:at least one item)") as error:
        arguments(measured(np.zeros(0, np.int64)))
    assert "distribution=" not in str(error.value)  # a distribution by name would not help


DOMAIN = IdDomain(3, 9)


@pytest.mark.parametrize(
    ("distribution", "message"),
    [
        ("zipf", "'zipf'"),
        ("auto", "'auto'"),
        ("empirical", "from_schema"),
        (None, "Received: None"),
        (7, "Received: 7"),
        ({"name": ["uniform"], "size": 7}, "distribution's name"),
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
        ({"name": "uniform", "size": 8}, "over the 7 ids.*or from the same counts"),
        ({"name": "empirical", "size": 7, "steps": "0:1,9:1,7"}, "steps"),
        ({"name": "empirical", "steps": "0:1,1"}, "size"),
    ],
)
def test_values_that_are_not_a_distribution_of_these_ids_are_refused(distribution, message):
    with pytest.raises(PopSamplerError, match=message):
        resolve_distribution(distribution, DOMAIN)


def test_distributions_of_these_ids():
    assert resolve_distribution("log_uniform", DOMAIN) == LogUniform(7)
    assert resolve_distribution(Uniform(7), DOMAIN) == Uniform(7)
    assert resolve_distribution({"name": "uniform", "size": 7.0}, DOMAIN) == Uniform(7)
    with pytest.raises(PopSamplerError, match="at least one item"):
        resolve_distribution("uniform", IdDomain(3, 2))


def counted(counts, distortion=1.0, reserved_ids=(), **overrides):
    """Returns the arguments, with a list for `item_ids`."""
    found = sampler_kwargs_from_counts(counts, reserved_ids, distortion, overrides)
    return {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in found.items()
    }


def test_counts_give_all_arguments():
    """Id 5 is the most frequent, and 3 is reserved, so the range begins at 4."""
    curve = PopularityCurve.from_counts([9, 5, 2])
    assert counted({3: 20, 4: 5, 5: 9, 6: 2}, reserved_ids=[3]) == {
        "max_id": 6,
        "min_id": 4,
        "item_ids": [5, 4, 6],
        "distribution": Empirical(curve),
    }
    in_order = {"max_id": 5, "min_id": 3, "distribution": Empirical(curve)}
    assert counted({3: 9, 4: 5, 5: 2}) == in_order
    distorted = {**in_order, "distribution": Empirical(curve, 0.5)}
    assert counted({3: 9, 4: 5, 5: 2}, distortion=0.5) == distorted


@pytest.mark.parametrize("distribution", ["uniform", "log_uniform", Uniform(3)])
def test_a_distribution_that_is_passed_replaces_that_of_the_counts(distribution):
    found = counted({3: 9, 4: 5, 5: 2}, distribution=distribution, max_num_samples=2)
    assert found == {
        "max_id": 5,
        "min_id": 3,
        "distribution": distribution,
        "max_num_samples": 2,
    }
    with pytest.raises(PopSamplerError, match="distortion only with the measured distribution"):
        counted({3: 9, 4: 5, 5: 2}, distortion=0.5, distribution=distribution)


@pytest.mark.parametrize("distribution", ["auto", "empirical"])
def test_names_of_the_distribution_of_the_counts(distribution):
    counts = {3: 9, 4: 5, 5: 2}
    assert counted(counts, distribution=distribution) == counted(counts)


def test_in_batch_negatives_need_the_measured_distribution():
    domain = IdDomain(3, 202)
    assert measured_distribution(MEASURED, domain) == MEASURED
    assert measured_distribution(MEASURED.get_config(), domain) == MEASURED
    for other in (Empirical(MEASURED.steps, 0.5), LogUniform(200), "uniform"):
        with pytest.raises(PopSamplerError, match="Expected the measured distribution"):
            measured_distribution(other, domain)
    with pytest.raises(PopSamplerError, match="over the 7 ids 3 to 9"):
        measured_distribution(MEASURED, DOMAIN)


def test_seeds():
    assert validate_seed(None) is None
    for seed in (0, 17, -(2**63), 2**64 - 1, np.uint64(2**63), 5.0):
        assert validate_seed(seed) == seed
        assert type(validate_seed(seed)) is int
    for seed in ("x", True, 1.5, 2**64, -(2**63) - 1):
        with pytest.raises(PopSamplerError, match="seed to be a whole number.*integer of 64 bits"):
            validate_seed(seed)
