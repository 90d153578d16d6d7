"""Saves the function of default metrics by name, so that a configuration holds no bytecode."""

import pytest

tf = pytest.importorskip("tensorflow")

from merlin.schema import ColumnSchema, Schema, Tags

from merlin_popsampler import PopSamplerError, PopularityBasedSampler

pytestmark = pytest.mark.merlin_models

ITEM = {"domain": {"min": 0, "max": 30}}


def output(**settings):
    from merlin_popsampler.tf.merlin_models import ContrastiveOutput

    item = ColumnSchema("item", [Tags.ITEM_ID, Tags.CATEGORICAL], ITEM, "int64")
    sampler = PopularityBasedSampler(max_id=30, min_id=3, max_num_samples=8)
    return ContrastiveOutput(Schema([item]), sampler, **settings)


@tf.keras.utils.register_keras_serializable(package="tests")
def registered():
    return [tf.keras.metrics.MeanMetricWrapper(lambda *_: 0.0, name="own")]


def not_registered():
    return []


def test_the_name_of_a_registered_function_is_saved():
    from merlin_popsampler.tf.merlin_models.default_metrics import no_metrics

    for settings, name, function in (
        ({}, "merlin_popsampler>no_metrics", no_metrics),
        ({"default_metrics_fn": registered}, "tests>registered", registered),
    ):
        config = output(**settings).get_config()
        assert config["default_metrics_fn"] == name
        for value in (name, function):  # Keras replaces a name inside of a model's configuration
            anew = {**config, "default_metrics_fn": value}
            assert type(output()).from_config(anew).default_metrics_fn is function


def test_a_name_that_is_not_registered_is_refused():
    config = {**output().get_config(), "default_metrics_fn": "tests>gone"}
    with pytest.raises(PopSamplerError, match="'tests>gone' to be registered.*Import the module"):
        type(output()).from_config(config)


def test_another_function_is_saved_as_merlin_models_does():
    config = output(default_metrics_fn=not_registered).get_config()
    assert config["function_type"] == "lambda"
    assert type(output()).from_config(config).default_metrics_fn() == []
