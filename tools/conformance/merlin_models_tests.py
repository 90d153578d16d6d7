"""pytest plugin: our output and samplers in Merlin Models' place, and what cannot pass.

The synthetic data of those tests get a measured curve, as a fitted workflow would give them:
in-batch negatives are corrected by it. It is a flat one, since that data draws its ids uniformly.
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
    """The column, with a curve if it holds ids."""
    if not {Tags.ITEM_ID, Tags.ID} & set(column.tags) or column.int_domain is None:
        return column
    counts = np.ones(int(column.int_domain.max), np.int64)
    return with_popularity(column, PopularityMetadata.from_counts(counts, 1, "counted", 256))


def generate_data(*args: Any, **kwargs: Any) -> Any:
    """Synthetic data as theirs, with measured curves."""
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
"""What passes with the versions that Merlin Models was released for, and not with today's."""

pytest_itemcollected, pytest_collection_finish = marked(
    {**BY_DESIGN, **(TODAY if compat.enable() else {})}
)
