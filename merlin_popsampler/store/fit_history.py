"""Finds the fits that assigned the ids of a column: an encoder, and an operator after it."""

from dataclasses import dataclass
from typing import Dict, Iterable, List, Optional

from .artifact import UNIQUE, FitArtifact
from .locations import began_later, fits_below
from .stock_files import find_stock_vocabularies


@dataclass(frozen=True)
class FitHistory:
    """Names the fits that assigned the ids of a column, as far as one folder holds them.

    Args:
      name: name of the vocabulary.
      last: the fit whose ids leave the workflow, of FrequencyCategorify or of a FrequencyOrder
        after an encoder; None if that is another encoder's fit.
      encoder: the fit of FrequencyCategorify that encoded the keys; None for another encoder.
      keys_path: path of the keys of another encoder, such as Categorify; None if there is none.
    """

    name: str = ""
    last: Optional[FitArtifact] = None
    encoder: Optional[FitArtifact] = None
    keys_path: Optional[str] = None


def fits_in(path: str) -> Dict[str, List[FitHistory]]:
    """Returns the fits in a saved workflow or an operator's `out_path`, by name of the vocabulary.

    Normally these are the last fits only. If workflows were saved to one folder more than once, the
    order of their fits is not known, so several remain.
    """
    return histories(fits_below(path), find_stock_vocabularies(path))


def histories(
    fits: Iterable[Dict[str, FitArtifact]], stock: Dict[str, str]
) -> Dict[str, List[FitHistory]]:
    """Combines encoders and the orders after them; see `fits_in` for the result.

    Args:
      fits: the artifacts of each fit, by name of the vocabulary.
      stock: paths of the keys of other encoders, by name of the vocabulary.
    """
    found = [entry for fit in fits for entry in fit.items()]
    return {
        name: _made_by(name, [fit for other, fit in found if other == name], stock.get(name))
        for name in sorted({*(name for name, _ in found), *stock})
    }


def _made_by(name: str, fits: List[FitArtifact], keys_path: Optional[str]) -> List[FitHistory]:
    """Returns the last FrequencyOrder and the encoder before it, or the last encoder alone."""
    encoders = _last([fit for fit in fits if UNIQUE in fit.files])
    orders = _last([fit for fit in fits if UNIQUE not in fit.files])
    # An encoder that was fitted after an order is not the one before it.
    orders = [fit for fit in orders if not any(began_later(e.folder, fit.folder) for e in encoders)]
    if not orders:
        return [FitHistory(name, fit, fit) for fit in encoders] or [
            FitHistory(name, keys_path=keys_path)
        ]
    if encoders:
        keys_path = None
    encoder = encoders[0] if len(encoders) == 1 else None
    return [FitHistory(name, fit, encoder, keys_path) for fit in orders]


def _last(fits: List[FitArtifact]) -> List[FitArtifact]:
    return [fit for fit in fits if not any(began_later(other.folder, fit.folder) for other in fits)]
