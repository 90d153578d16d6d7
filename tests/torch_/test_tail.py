"""The tail of huge catalogs in PyTorch: draws of tests/core/test_tail.py, eager and compiled."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.support.tails import TAILS, drawn
from tests.support.torch_draws import make_draws

SIZES = (10**6, 10**7, 10**8, 10**9)
NUM = 2**17


class EveryTail(torch.nn.Module):
    """Holds all distributions and sizes in one module, since compiling is slow."""

    def __init__(self):
        super().__init__()
        distributions = [TAILS[name](size).distribution for name in TAILS for size in SIZES]
        self.draws = torch.nn.ModuleList(
            make_draws(distribution, NUM, False) for distribution in distributions
        )

    def forward(self, key, position):
        return [draw(key, position) for draw in self.draws]


@pytest.mark.parametrize("compiled", [False, True])
def test_draws_are_those_of_numpy(compiled):
    module = EveryTail()
    function = torch.compile(module, fullgraph=True) if compiled else module
    found = function(torch.tensor(23), torch.tensor(4))
    distributions = [TAILS[name](size).distribution for name in TAILS for size in SIZES]
    for ranks, distribution in zip(found, distributions):
        np.testing.assert_array_equal(ranks, drawn(distribution, NUM, key=23, start=4))
