"""Provides the PyTorch modules, and the functions by which they draw, correct and score.

The code interprets the tables of `core`, and builds none of its own. It may import `errors`,
`core`, `contract` and torch. It never imports TensorFlow, NVTabular or pandas.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .logits import contrastive_logits
    from .negatives import InBatch, Mixture
    from .refit import warm_start
    from .sampled_softmax import SampledSoftmaxLoss
    from .sampler import PopularityBasedSampler

__all__ = [
    "InBatch",
    "Mixture",
    "PopularityBasedSampler",
    "SampledSoftmaxLoss",
    "contrastive_logits",
    "warm_start",
]

_HOMES = {
    "InBatch": "negatives",
    "Mixture": "negatives",
    "PopularityBasedSampler": "sampler",
    "SampledSoftmaxLoss": "sampled_softmax",
    "contrastive_logits": "logits",
    "warm_start": "refit",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
