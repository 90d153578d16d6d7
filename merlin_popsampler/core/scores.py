"""Numbers that bound scores and the memory for them, in every framework."""

LARGEST = 1e7
"""Components of vectors are cut here, so that no score of theirs is infinite, or no number: it is
1e14 times the width at most, far beyond what a loss can tell apart."""
MASKED = -1e19
"""Logit of what is no candidate: below any score of vectors of up to 10,000 numbers, exp of it is 0
beside any, and its square, which some pairwise losses take, is finite."""
BLOCK_BYTES = 2**26
"""Size of one float32 matrix of scores, 64 MB; a few of that size live at a time."""
