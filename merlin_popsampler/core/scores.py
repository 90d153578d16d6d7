"""Numbers that bound scores and the memory for them, in every framework."""

LARGEST = 1e7
"""Finite components of vectors are clipped to this size, so that each score of theirs is finite:
1e14 times the width at most, far beyond what a loss can tell apart."""
MASKED = -1e19
"""Logit of what is no candidate: below any score of vectors of up to 10,000 numbers, exp of it is 0
beside any, and its square, which some pairwise losses take, is finite."""
BLOCK_BYTES = 2**26
"""Size of one float32 matrix of scores, 64 MB; a few of that size live at a time."""
TIED = 2.0**-21
"""Scores tie if they differ by at most this, times the square root of the width and the lengths of
both vectors: kernels that add up in another order give the same score that far apart."""
