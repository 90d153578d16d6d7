"""Rows with hard negatives, and the sum over the catalog that their loss estimates."""

import numpy as np

TRUE_IDS = [3, 14, 7, 7, 12, 5]
HARD = [[5, 9], [], [7, 12, 12, 0], [3], [14, 6, 8, 99], [-1, 4]]
"""Hard negatives with the positive, repeats, padding, an excluded id and reserved ids."""
EXCLUDED = [[], [4], [3], [5, 9], [8, 0], [13]]

SIZE, TRUE, LIST = 6, 4, [0, 2, 2, 4]
"""Six items, a row's positive and its hard negatives."""
WRONG = ["samples of them count as well", "at the expected count of a sample"]
"""Two wrong weights of hard negatives."""


def row_of_six():
    """Returns a query `[1, 3]` and the vectors of six items `[6, 3]`, float32."""
    rng = np.random.default_rng(5)
    return rng.normal(size=(1, 3)).astype(np.float32), rng.normal(size=(6, 3)).astype(np.float32)


def exact_sum(query, table):
    """Returns the sum of `exp(score)` over all items but the positive, in float64."""
    scores = np.exp(query.astype(np.float64) @ table.T.astype(np.float64))[0]
    return scores.sum() - scores[TRUE]
