"""Three small models and their ranks by hand: perfect, constant and NaN.

All rank the items 3 to 8 for three rows. The perfect model scores each row's own item 1 and every
other item 0; the second gives every item one score; the third gives NaN.
"""

import numpy as np

MIN_ID, MAX_ID, DIM = 3, 8, 6
TRUE_IDS = np.array([3, 8, 5])
TOP_K = 2
QUERIES = np.eye(DIM, dtype=np.float32)[TRUE_IDS - MIN_ID]
_ITEMS = np.eye(MAX_ID + 1, dtype=np.float32)[:, MIN_ID:]
"""Row `id` is a unit vector of its own; rows of reserved ids are zeros."""
MODELS = {
    # Item vectors [max_id + 1, dim], ranks of the rows by hand, recall at TOP_K.
    "perfect": (_ITEMS, [0, 0, 0], 1.0),
    "constant": (np.full_like(_ITEMS, 0.1), [5, 5, 5], 0.0),
    "zero": (np.zeros_like(_ITEMS), [5, 5, 5], 0.0),
    "NaN": (np.full_like(_ITEMS, np.nan), [5, 5, 5], 0.0),
    "infinite": (np.full_like(_ITEMS, np.inf), [5, 5, 5], 0.0),
}


def with_twins(dim: int, items: int, seed: int = 17):
    """Returns vectors `[items, dim]` whose second half repeats the first."""
    half = np.random.default_rng(seed).normal(size=(items // 2, dim)).astype(np.float32)
    return np.concatenate([half, half])
