"""Replaces output and samplers in the tests of Merlin Models by those of this package.

A pytest plugin, which also marks the tests that cannot pass. It adds a popularity curve to the
synthetic data of the tests, as a fitted workflow would, since the correction of in-batch negatives
needs one. The curve is flat, since the ids of these data are drawn uniformly.
"""

from typing import Any

import merlin.models.tf as mm
import numpy as np
from by_design import marked
from merlin.datasets import synthetic
from merlin.models.tf.models import retrieval
from merlin.models.tf.outputs.sampling import popularity
from merlin.schema import Schema, Tags

from merlin_popsampler import (
    PopSamplerError,
    PopularityBasedSampler,
    PopularityMetadata,
    compat,
)
from merlin_popsampler.contract.schema import with_popularity
from merlin_popsampler.tf.merlin_models import ContrastiveOutput

mm.ContrastiveOutput = retrieval.ContrastiveOutput = ContrastiveOutput
mm.PopularityBasedSampler = mm.PopularityBasedSamplerV2 = PopularityBasedSampler
retrieval.PopularityBasedSamplerV2 = popularity.PopularityBasedSamplerV2 = PopularityBasedSampler


def measured(column: Any) -> Any:
    """Returns the column, with a popularity curve if it holds ids."""
    if not {Tags.ITEM_ID, Tags.ID} & set(column.tags) or column.int_domain is None:
        return column
    counts = np.ones(int(column.int_domain.max), np.int64)
    return with_popularity(column, PopularityMetadata.from_counts(counts, 1, "counted", 256))


def generate_data(*args: Any, **kwargs: Any) -> Any:
    """Generates the synthetic data of Merlin Models, with popularity curves."""
    made = generated(*args, **kwargs)
    for data in made if isinstance(made, tuple) else (made,):
        data.schema = Schema([measured(column) for column in data.schema])
    return made


generated, synthetic.generate_data = synthetic.generate_data, generate_data

BY_DESIGN = {
    "test_two_tower_constrastive_with_logq_correction": (
        PopSamplerError,
        "a second correction, by post=, is refused",
    ),
    "test_contrastive_output_with_sampled_softmax": (
        AssertionError,
        "the default metrics are cross_entropy and recall_at_20",
    ),
    "test_setting_negative_sampling_strategy": (
        PopSamplerError,
        "mixes a sampler of ids from 0 with in-batch negatives, whose ids begin at 1",
    ),
    "test_downscore_false_negatives": (
        PopSamplerError,
        "the score of a false negative is fixed: it is masked",
    ),
    "test_contrastive_only_positive_when_not_training": (
        PopSamplerError,
        "false negatives are always masked",
    ),
    "test_two_tower_model_v2_with_custom_options": (
        PopSamplerError,
        "a second correction, by post=, is refused, as is an evaluation without candidate=",
    ),
    "test_two_tower_retrieval_model_v2_with_topk_metrics_aggregator": (
        PopSamplerError,
        "the whole catalog is scored by the item tower, which is to be passed as candidate=",
    ),
    "test_popularity_sampler_no_item_id": (
        PopSamplerError,
        "refused as well, by an error of our own",
    ),
    "test_popularity_sampler_weights_dim_diff_max_num_samples": (
        AssertionError,
        "refused as well, with a message of our own",
    ),
    "test_popularity_sampler_with_num_samples_greater_than_cardinality": (
        AssertionError,
        "refused as well, with a message of our own",
    ),
}

NO_LAMBDA = (
    ValueError,
    "tf_keras 2.21 makes no Lambda of EmbeddingEncoder from its configuration; saved models load",
)
TODAY = {
    "test_matrix_factorization_topk_evaluation": NO_LAMBDA,
    "test_mf_v2_export_item_tower_embeddings": NO_LAMBDA,
}
"""Tests that fail only with newer versions than those that Merlin Models was released for."""

pytest_itemcollected, pytest_collection_finish = marked(
    {**BY_DESIGN, **(TODAY if compat.enable() else {})}
)
