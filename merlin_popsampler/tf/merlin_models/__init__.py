"""Supports Merlin Models: its two sampler interfaces, its contrastive output, and item features.

No code outside of this folder may need Merlin Models, which imports on TensorFlow 2.12 only. Code
that the sampler calls imports it on first use. `contrastive` and its parts, which subclass classes
of Merlin Models, import it at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .contrastive import ContrastiveOutput
    from .item_features import ItemFeatures

__all__ = ["ContrastiveOutput", "ItemFeatures"]

_HOMES = {"ContrastiveOutput": "contrastive", "ItemFeatures": "item_features"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
