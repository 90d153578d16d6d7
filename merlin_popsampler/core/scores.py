"""Numbers that bound scores and the memory for them, in every framework."""

LARGEST = 1e15
"""Components of vectors are cut here, so that no score of theirs is infinite, or no number: it is
1e30 times the width at most, far beyond what a loss can tell apart."""
MASKED = -3e38
"""Logit of what is no candidate: below any score, and exp of it is 0 beside any."""
BLOCK_BYTES = 2**26
"""Size of one float32 matrix of scores, 64 MB; a few of that size live at a time."""
