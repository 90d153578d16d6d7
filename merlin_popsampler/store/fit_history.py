"""Which fits made the ids of a column, found in the folders that hold them."""

from dataclasses import dataclass
from typing import Dict, Iterable, List, Optional

from .artifact import UNIQUE, FitArtifact
from .locations import began_later, fits_below
from .stock_files import find_stock_vocabularies


@dataclass(frozen=True)
class FitHistory:
    """The fits that made a column's ids, as far as they lie in one folder.

    Args:
      name: of the fits.
      last: whose ids leave the workflow; None where another encoder's do.
      encoder: whose keys these ids stand for, where it is FrequencyCategorify.
      keys_path: of the keys of another encoder.
    """

    name: str = ""
    last: Optional[FitArtifact] = None
    encoder: Optional[FitArtifact] = None
    keys_path: Optional[str] = None


def fits_in(path: str) -> Dict[str, List[FitHistory]]:
    """By name, what the fits in a saved workflow or an operator's `out_path` made.

    The last fit answers, alone; but where workflows were saved to one folder more than once, their
    fits lie there in no order.
    """
    return histories(fits_below(path), find_stock_vocabularies(path))


def histories(
    fits: Iterable[Dict[str, FitArtifact]], stock: Dict[str, str]
) -> Dict[str, List[FitHistory]]:
    """By name, what fits made together, see `fits_in`.

    Args:
      fits: by name, what each fit found.
      stock: by name, paths of the keys of other encoders.
    """
    found = [entry for fit in fits for entry in fit.items()]
    return {
        name: _made_by(name, [fit for other, fit in found if other == name], stock.get(name))
        for name in sorted({*(name for name, _ in found), *stock})
    }


def _made_by(name: str, fits: List[FitArtifact], keys_path: Optional[str]) -> List[FitHistory]:
    """An order after an encoder, an order alone, or an encoder alone; of each the last."""
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
