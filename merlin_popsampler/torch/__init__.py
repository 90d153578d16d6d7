"""Provides the PyTorch modules, and the functions by which they draw, correct and score.

The code interprets the tables of `core`, and builds none of its own. It may import `errors`,
`core`, `contract` and torch. It never imports TensorFlow, NVTabular or pandas.
"""

from .all_items import AllItems
from .logits import Candidates, contrastive_logits
from .monitor import SamplingMonitor
from .negatives import InBatch, Mixture
from .refit import warm_start
from .sampled_softmax import SampledSoftmaxLoss
from .sampler import PopularityBasedSampler

__all__ = [
    "AllItems",
    "Candidates",
    "InBatch",
    "Mixture",
    "PopularityBasedSampler",
    "SampledSoftmaxLoss",
    "SamplingMonitor",
    "contrastive_logits",
    "warm_start",
]
