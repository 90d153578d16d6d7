"""Computes a short weighted list of ranks that represents a whole catalog in sums."""

from typing import Tuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_HEAD = 64
_ORDER = 10


def sum_nodes(size: int) -> Tuple[Floats, Floats]:
    """Computes ranks and multiplicities whose weighted sum is the sum over `0, ..., size - 1`.

    The first ranks have a node each. Then each doubling of the rank gets ten nodes, those of
    Gauss's rule for the *sum* over the ranks of that segment. This rule uses Gram's polynomials
    instead of Legendre's. It is exact for polynomials up to degree 19, so no correction from
    integral to sum is needed. 304 nodes represent 1e9 ranks to 1e-15.

    Args:
      size: number of ranks, at least 1.

    Returns:
      Rising real ranks and positive multiplicities, both float64 `[num_nodes]`.

    Examples:
      >>> ranks, multiplicities = sum_nodes(10**6)
      >>> len(ranks), float(multiplicities.sum().round(3))
      (204, 1000000.0)
      >>> round(float(multiplicities @ ranks) / (10**6 * (10**6 - 1) / 2), 12)
      1.0

    References:
      Golub and Welsch (1969), Calculation of Gauss quadrature rules.
      Gautschi (2004), Orthogonal polynomials, section 1.5.2 (discrete Chebyshev).
    """
    head = min(_HEAD, size)
    ranks, multiplicities = [np.arange(head, dtype=np.float64)], [np.ones(head)]
    start = head
    while start < size:
        stop = 2 * start if size > 3 * start else size
        offsets, weights = _gauss_sum(stop - start)
        ranks.append(start + offsets)
        multiplicities.append(weights)
        start = stop
    return np.concatenate(ranks), np.concatenate(multiplicities)


def _gauss_sum(count: int) -> Tuple[Floats, Floats]:
    """Returns nodes and weights of Gauss's rule for sums over `0, 1, ..., count - 1`."""
    k = np.arange(1, min(_ORDER, count), dtype=np.float64)
    off = 0.5 * np.sqrt(k * k * (float(count) ** 2 - k * k) / (4.0 * k * k - 1.0))
    matrix = np.diag(np.full(len(k) + 1, 0.5 * (count - 1.0))) + np.diag(off, 1) + np.diag(off, -1)
    nodes, vectors = np.linalg.eigh(matrix)
    return nodes, count * vectors[0] ** 2
