"""Checks the settings of a contrastive output that Merlin Models defines."""

from typing import Any, Union

from merlin.models.tf.outputs.base import DotProduct
from merlin.models.tf.transforms.bias import PopularityLogitsCorrection
from merlin.models.utils.constants import MIN_FLOAT
from merlin.schema import ColumnSchema, Schema

from merlin_popsampler.errors import PopSamplerError
from merlin_popsampler.tf.all_items import AllItems
from merlin_popsampler.tf.negatives import InBatch, Mixture, as_mixture

EVALUATIONS = ("catalog", "candidates")
ALWAYS = {
    "downscore_false_negatives": True,
    "false_negative_score": MIN_FLOAT,
    "logq_sampling_correction": True,
}
"""Settings of Merlin Models that must keep their value, since this loss depends on them."""


def check_settings(settings: Any) -> None:
    """Raises an error for settings of Merlin Models that this loss does not support.

    Args:
      settings: values by name, with all names of `ALWAYS`.

    Raises:
      PopSamplerError: a setting differs from its value in `ALWAYS`.
    """
    for name, value in ALWAYS.items():
        if settings[name] != value:
            raise PopSamplerError(
                f"Expected {name}={value}, since the loss corrects for the sampling and masks a "
                f"row's own positive. Received: {settings[name]!r}. Leave it out, or use Merlin "
                "Models' own ContrastiveOutput."
            )


def check_evaluation(evaluate_on: str, post: Any) -> None:
    """Checks the arguments `evaluate_on` and `post` of the output.

    Args:
      evaluate_on: one of `EVALUATIONS`.
      post: None, or a layer that is applied to the outputs.

    Raises:
      PopSamplerError: `evaluate_on` is unknown; or `post` would apply the logQ correction a second
        time, or is passed with `evaluate_on="catalog"`.
    """
    if evaluate_on not in EVALUATIONS:
        raise PopSamplerError(
            f"Expected evaluate_on to be one of {EVALUATIONS}. Received: {evaluate_on!r}. "
            "Choose 'catalog' for exact results."
        )
    if isinstance(post, PopularityLogitsCorrection):
        raise PopSamplerError(
            "Expected no PopularityLogitsCorrection as post, which would correct a second time. "
            "Received: one. Leave it out."
        )
    if post is not None and evaluate_on == "catalog":
        raise PopSamplerError(
            "Expected no post for an evaluation on the whole catalog, which computes scores block "
            f"by block. Received: {type(post).__name__}. Choose evaluate_on='candidates'."
        )


def check_negatives(negatives: Any, to_call: Any) -> None:
    """Checks that the output can use the negatives.

    Args:
      negatives: the result of `negatives_of`.
      to_call: the layer that scores.

    Raises:
      PopSamplerError: `AllItems` is used without an item table, or `InBatch` with `gather=True`.
    """
    if isinstance(negatives, AllItems) and isinstance(to_call, DotProduct):
        raise PopSamplerError(
            "Expected an item table with AllItems, since an item tower would have to encode the "
            "whole catalog in each step. Received: DotProduct, the scores of two towers. Pass the "
            "schema of the item id or an EmbeddingTable as to_call, or sample the negatives."
        )
    if isinstance(negatives, Mixture) and negatives.in_batch and negatives.in_batch.gather:
        raise PopSamplerError(
            "Expected in-batch negatives of one device, since Merlin Models cannot build a model "
            "under a tf.distribute strategy. Received: InBatch(gather=True). Leave gather out, or "
            "train with SampledSoftmax."
        )


def negatives_of(negative_samplers: Any, column: ColumnSchema) -> Union[Mixture, AllItems]:
    """Builds a `Mixture` of negatives; "in-batch" is the name of the column's `InBatch`.

    Args:
      negative_samplers: a source of negatives, its name, a list of these, a `Mixture`, or
        `AllItems`, which is returned as it is.
      column: schema of the item id.

    Raises:
      SchemaError: "in-batch" is passed, and the column has no measured counts.
      PopSamplerError: see `Mixture`.
    """

    def source(given: Any) -> Any:
        return InBatch.from_schema(Schema([column]), column.name) if given == "in-batch" else given

    if isinstance(negative_samplers, AllItems):
        return negative_samplers
    if isinstance(negative_samplers, (list, tuple)):
        return as_mixture([source(given) for given in negative_samplers])
    return as_mixture(source(negative_samplers))
