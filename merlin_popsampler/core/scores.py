"""Defines limits on scores and on their memory, for every framework."""

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
TIED = 2.0**-21
"""Scores tie if they differ by at most this, times the square root of the width and both lengths.

Kernels that sum in another order compute equal scores with up to this difference.
"""
