"""How many draws a batch of a report holds."""

from typing import Optional

from merlin_popsampler.core.checks import whole_number

MOST = 1000
"""Draws of a batch where nobody says otherwise and the catalog is large."""
SHARE = 10
"""There a batch holds one item in so many at most: one that holds nearly all of them has expected
counts near 1, whatever the distribution, and compares nothing.
"""


def draws_of_a_batch(wanted: Optional[int], size: int) -> int:
    """The number of distinct draws, from 1 to the number of items.

    Args:
      wanted: what the caller asked for; None for a number that means something.
      size: number of items.

    Raises:
      PopSamplerError: more than there are items, or less than one.
    """
    if wanted is None:
        return max(1, min(MOST, size // SHARE))
    return whole_number("--num-sampled", wanted, 1, "Pass fewer, or leave it out.", size)
