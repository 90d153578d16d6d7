"""Imports what this package needs of NVTabular, and checks it once, with a clear message."""

from merlin_popsampler.core.domain import FIRST_OOV_ID, NULL_ID, PADDING_ID
from merlin_popsampler.errors import PopSamplerError

try:
    import nvtabular
    from nvtabular.ops import Categorify
    from nvtabular.ops import categorify as _categorify
    from nvtabular.ops.stat_operator import StatOperator
except ImportError as error:
    raise ImportError(
        f"The operators need NVTabular, which does not import here ({error}). "
        "Install it with: pip install 'merlin-popsampler[nvtabular]'"
    ) from error

__all__ = ["Categorify", "StatOperator", "embedding_width"]

_FOUND = tuple(getattr(_categorify, f"{name}_OFFSET", None) for name in ("PAD", "NULL", "OOV"))
if _FOUND != (PADDING_ID, NULL_ID, FIRST_OOV_ID):
    raise PopSamplerError(
        "Expected an NVTabular that reserves ids 0 for padding, 1 for null and from 2 on for "
        f"unknown keys, as 23.2 and later do. Received: NVTabular {nvtabular.__version__} with "
        f"padding, null, unknown = {_FOUND}. Install nvtabular 23.6 or 23.8."
    )


def embedding_width(rows: int) -> int:
    """Returns NVTabular's rule of thumb for the width of an embedding table of so many rows."""
    width: int = _categorify._emb_sz_rule(rows)[1]  # noqa: SLF001 - it has no public name
    return width
