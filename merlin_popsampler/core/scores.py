"""Defines ranks, and limits on scores and on their memory, for every framework.

The rank of an item is the number of other items whose score is greater, equal or NaN. So ties count
against the item, and an item whose own score is NaN has the worst rank: all other items. A score is
equal if it differs by at most `tie_tolerance`, times the lengths of both vectors.
"""

LARGEST = 1e7
"""Finite components of vectors are clipped to this size, so that each score is finite.

Scores are then at most 1e14 times the width, far beyond the resolution of a loss.
"""
MASKED = -1e19
"""Logit of a masked candidate.

It is below any score of vectors of up to 10,000 components, so its softmax is 0. Its square, which
some pairwise losses take, is finite.
"""
BLOCK_BYTES = 2**26
"""Size of one float32 matrix of scores, 64 MB. A few matrices of that size exist at a time."""
LARGE_BYTES = 2**24
"""Size, 16 MB, from which on a training step computes a matrix of logits block by block."""
OWN_ROWS = 64
"""Number of rows whose own scores are the diagonal of one matrix product.

A matrix product may round its inputs (TensorFloat-32 on a GPU), whereas a sum of products does not.
Then equal vectors would have different scores.
"""


def tie_tolerance(dim: int) -> float:
    """Returns the difference up to which scores of vectors of length 1 are equal.

    Kernels that sum in another order compute equal scores with up to this difference.

    Args:
      dim: width of the vectors, at least 1.

    Examples:
      >>> tie_tolerance(4) == 2 * 2.0**-21
      True
    """
    return float(2.0**-21 * dim**0.5)
