"""Runs the recipes of the documentation, and compares with losses computed by hand."""

import re
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize

tf = pytest.importorskip("tensorflow")

PAGE = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")


def recipe(section):
    """Runs the code of a section, and returns the names that it defines."""
    (code,) = re.findall(rf"^## {section}\n.*?```python\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)
    names = {}
    exec(compile(code, f"docs/recipes.md, {section}", "exec"), names)
    return names


def losses(queries, table, true_ids, sampled):
    """Computes the sampled softmax of each row in float64, without accidental hits.

    Args:
      queries: `[batch, dim]`.
      table: embeddings `[rows, dim]`.
      true_ids: `[batch]`.
      sampled: what `sampled_values` returned.
    """
    sampled_ids, true_counts, sampled_counts = (np.asarray(part).reshape(-1) for part in sampled)
    queries, table = np.asarray(queries, np.float64), np.asarray(table, np.float64)
    result = []
    for query, true_id, true_count in zip(queries, true_ids, true_counts):
        kept = sampled_ids != true_id
        logits = table[[true_id, *sampled_ids[kept]]] @ query
        logits -= np.log(np.asarray([true_count, *sampled_counts[kept]], np.float64))
        result.append(np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[0])
    return np.array(result)


TRUE_IDS = np.array([3, 4, 3, 900])


class Repeated:
    """Returns one batch at every call, with id 3 as an accidental hit."""

    def __init__(self, sampler, true_ids):
        self.max_num_samples = sampler.max_num_samples
        self.values = sampler.sampled_values(true_ids)
        assert 3 in np.asarray(self.values[0])

    def sampled_values(self, true_ids):
        return self.values


@pytest.fixture
def policy():
    before = tf.keras.mixed_precision.global_policy()
    yield tf.keras.mixed_precision.set_global_policy
    tf.keras.mixed_precision.set_global_policy(before)


@pytest.mark.parametrize("precision", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_tensorflow_alone(precision, policy):
    policy(precision)
    names = recipe("TensorFlow")
    layer, true_ids = names["layer"], names["true_ids"]
    assert names["loss"].dtype == tf.float32
    queries = tf.cast(names["queries"], precision.replace("mixed_", ""))
    layer.sampler = Repeated(names["sampler"], true_ids)
    expected = losses(tf.cast(queries, tf.float32), layer.table, TRUE_IDS, layer.sampler.values)
    np.testing.assert_allclose(layer(queries, true_ids), expected, rtol=1e-5)


@pytest.mark.parametrize("unique", [True, False])
@pytest.mark.parametrize(
    ("section", "module"),
    [
        ("TensorFlow Recommenders", "tensorflow_recommenders"),
        ("Keras Recommenders", "keras_rs"),
    ],
)
def test_libraries(section, module, unique):
    from merlin_popsampler import PopularityBasedSampler

    pytest.importorskip(module)
    names = recipe(section)
    queries, true_ids, items = names["queries"], names["true_ids"], names["items"]
    sampler = PopularityBasedSampler(1002, 3, 100, seed=5, unique=unique)
    known = names["sampler"] = Repeated(sampler, true_ids)
    counts = np.concatenate([np.asarray(part).reshape(-1) for part in known.values[1:]])
    assert (counts > 1).any() == (not unique)
    expected = losses(queries, items.weights[0], TRUE_IDS, known.values)
    table = tf.convert_to_tensor(items.weights[0])
    np.testing.assert_allclose(
        names["retrieval_loss"](queries, true_ids), expected.sum(), rtol=1e-5
    )
    assert table.shape == [1003, 8]


def test_rare_items_in_keras_recommenders():
    """keras-rs uses expected counts far below 1e-6 of the largest unchanged."""
    pytest.importorskip("keras_rs")
    names = recipe("Keras Recommenders")
    queries, true_ids, items = names["queries"], names["true_ids"], names["items"]
    known = names["sampler"] = Repeated(names["sampler"], true_ids)
    ids, true_counts, counts = known.values
    known.values = ids, true_counts, counts * 1e-9
    expected = losses(queries, items.weights[0], TRUE_IDS, known.values)
    found = names["retrieval_loss"](queries, true_ids)
    np.testing.assert_allclose(found, expected.sum(), rtol=1e-5)


def log_uniform(size):
    """Returns the probabilities of one draw, float64 `[size]`."""
    return np.log1p(1 / np.arange(1, size + 1)) / np.log(size + 1)


def test_what_is_clipped():
    """Computes the figures of the page by the formula of the distribution."""
    counts = 1000 * log_uniform(26_680)
    above = counts > 1
    assert f"{counts[above].sum() / 1000:.0%}".replace("%", " %") in PAGE
    assert f"{np.log(counts[0]):.1f} nats" in PAGE
    # t draws give K distinct ids, so an item is among these with probability 1 - exp(-t p).
    first = np.unique(np.geomspace(1, 1e8 + 1, 40_000).astype(np.int64))  # ranks of the bands
    sizes = np.diff(first)
    probs = np.diff(np.log(first)) / np.log(1e8 + 1) / sizes
    draws = optimize.brentq(lambda t: sizes @ -np.expm1(-t * probs) - 1000, 1e3, 1e4)
    counts = -np.expm1(-draws * probs)
    below = (sizes * counts)[counts < 1e-6 * counts[0]].sum() / 1000
    assert (
        f"Of 1,000 distinct log-uniform draws from 1e8 items, {below:.1%}".replace("%", " %")
        in PAGE
    )
