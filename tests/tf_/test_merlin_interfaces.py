"""Answers in the type that was received, without Merlin Models."""

from typing import Any, Dict, NamedTuple, Optional

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from merlin_popsampler.errors import PopSamplerError
from merlin_popsampler.tf import merlin_interfaces as answers
from merlin_popsampler.tf.sampler import PopularityBasedSampler


class Candidate(NamedTuple):
    """Any named tuple of these fields is a candidate."""

    id: Any
    metadata: Dict[str, Any]
    sampling_prob: Optional[Any] = None

    @property
    def num(self):
        return self.id.shape[0]


def candidate(ids=(3, 4, 1), **metadata):
    return Candidate(tf.constant(ids, tf.int64)[:, None], metadata)


def sampler(**settings):
    return PopularityBasedSampler(**{"max_id": 14, "min_id": 3, "max_num_samples": 5, **settings})


def test_only_named_tuples_of_ids_are_candidates():
    assert answers.is_candidate(candidate())
    others = (tf.zeros(3), {"id": 1}, (1, 2, 3), NamedTuple("Pair", [("id", int)])(1), None)
    assert not any(answers.is_candidate(other) for other in others)


def test_a_candidate_is_answered_by_one_of_its_own_type():
    layer, twin = sampler(seed=1), sampler(seed=1)
    batch = candidate(colour=tf.zeros(3))
    answer = layer(batch)
    assert isinstance(answer, Candidate)
    assert type(answer).__name__ == "Candidate"
    assert (answer.num, answer.metadata, answer.sampling_prob) == (5, {}, None)
    np.testing.assert_array_equal(answer.id[:, 0], twin.sample_ids())
    with_counts = layer.with_sampling_probs(batch)
    assert list(with_counts.metadata) == ["colour"]
    np.testing.assert_array_equal(with_counts.sampling_prob, twin.expected_count(batch.id))
    assert type(layer.with_sampling_probs(answer)) is type(answer)


def test_in_a_graph_too_and_nested_structures_agree():
    layer, twin = sampler(seed=1), sampler(seed=1)

    @tf.function
    def function(ids):
        batch = Candidate(ids, {})
        answer = layer(batch)
        return answer.id, layer.with_sampling_probs(answer).sampling_prob, answer != batch

    ids, expected_counts, differ = function(tf.constant([[3], [4], [5], [6], [7]], tf.int64))
    np.testing.assert_array_equal(ids[:, 0], twin.sample_ids())
    np.testing.assert_array_equal(expected_counts, twin.expected_count(ids))
    assert differ
    tf.nest.assert_same_structure(candidate(), layer(candidate())._replace(sampling_prob=None))


def test_comparison_is_by_identity_and_hashable():
    batch, layer = candidate((3, 4, 5, 6, 7)), sampler()
    answer = layer(batch)
    with_counts = layer.with_sampling_probs(batch)
    assert batch != answer
    assert answer != batch
    assert with_counts == batch
    assert len({answer, with_counts, layer.with_sampling_probs(batch)}) == 2
    with pytest.raises(ValueError, match="truth value"):  # negative control: a plain tuple
        assert batch != Candidate(*answer)


def test_inputs_of_neither_kind_are_named():
    layer = sampler()
    for inputs in ({"embeddings": tf.zeros([2, 4])}, {"metadata": {}}, {"ids": tf.zeros(2)}):
        with pytest.raises(PopSamplerError, match="column in item_id_feature_name"):
            layer(inputs, item_weights=tf.zeros([15, 4]))


@pytest.mark.parametrize("rows", [15, 16, None])
def test_enough_rows_or_an_unknown_number_pass(rows):
    answers.check_item_weights(tf.keras.Input((4,), batch_size=rows), 15)


@pytest.mark.parametrize("weights", [None, np.zeros((14, 4))])
def test_too_few_rows_are_refused(weights):
    with pytest.raises(PopSamplerError, match="at least 15 rows"):
        answers.check_item_weights(weights, 15)
