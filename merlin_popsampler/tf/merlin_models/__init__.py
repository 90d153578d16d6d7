"""Where Merlin Models is met: its interfaces as the sampler answers them, and features of items.

Nothing outside this folder may need Merlin Models, which imports on TensorFlow 2.12 only. What the
sampler needs of this folder imports it when it is called, and not before; `contrastive` and what it
is made of, which subclass Merlin's classes, import it at once.
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
