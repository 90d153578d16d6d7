"""Supports Merlin Models: its contrastive output, and item features.

No other folder needs Merlin Models, which imports on TensorFlow 2.12 only. `contrastive` and its
parts subclass classes of Merlin Models. Both names load on first use, since `ItemFeatures` also
works without Merlin Models.
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
