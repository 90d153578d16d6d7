"""Provides the Keras layers, and the TensorFlow functions by which they draw, correct and score.

The code interprets the tables of `core`, and builds none of its own. It may import `errors`,
`core`, `contract` and TensorFlow. It never imports NVTabular, dask or pandas. Code for Merlin
Models is in `merlin_models`.
"""

from .all_items import AllItems
from .logits import Candidates, contrastive_logits, one_positive_a_row
from .monitor import SamplingMonitor
from .negatives import InBatch, Mixture
from .refit import warm_start
from .sampled_softmax import SampledSoftmax
from .sampler import PopularityBasedSampler

__all__ = [
    "AllItems",
    "Candidates",
    "InBatch",
    "Mixture",
    "PopularityBasedSampler",
    "SampledSoftmax",
    "SamplingMonitor",
    "contrastive_logits",
    "one_positive_a_row",
    "warm_start",
]
