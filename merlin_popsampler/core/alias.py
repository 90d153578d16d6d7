"""Maps a uniform to a cell of a discrete distribution without a search: the alias method.

References:
  A. J. Walker, "An efficient method for generating discrete random variables with general
  distributions", ACM Transactions on Mathematical Software 3 (1977).
  M. D. Vose, "A linear algorithm for generating random numbers with a given distribution", IEEE
  Transactions on Software Engineering 17 (1991).
"""

from typing import Any, Tuple

import numpy as np

from .segments import Floats, Ints


def alias_table(masses: Any) -> Tuple[Floats, Ints]:
    """Builds an alias table: column j returns j below its cut, and its alias from the cut on.

    A draw takes a column uniformly and a uniform position in it.

    Args:
      masses: float64 `[n]`, positive probabilities in any scale.

    Returns:
      Cuts in (0, 1], float64 `[n]`, and aliases, int64 `[n]`.

    Examples:
      >>> cuts, aliases = alias_table([3.0, 1.0])
      >>> cuts.tolist(), aliases.tolist()
      ([1.0, 0.5], [0, 0])
    """
    scaled = np.asarray(masses, np.float64)
    scaled = scaled * (len(scaled) / scaled.sum())
    cuts, aliases = np.ones(len(scaled)), np.arange(len(scaled))
    rest = scaled.tolist()
    small = [i for i, mass in enumerate(rest) if mass < 1.0]
    large = [i for i, mass in enumerate(rest) if mass >= 1.0]
    while small and large:
        low, high = small.pop(), large[-1]
        cuts[low], aliases[low] = rest[low], high
        rest[high] -= 1.0 - rest[low]
        if rest[high] < 1.0:
            small.append(large.pop())
    # The remaining masses are 1 up to rounding, so each keeps its whole column.
    return cuts, aliases
