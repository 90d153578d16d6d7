"""The tables that devices draw by, followed in NumPy as their docstring says."""

import numpy as np
import pytest

from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.core.laws import Empirical, Law, LogUniform, Uniform
from merlin_popsampler.core.pieces import Pieces
from merlin_popsampler.core.steps import Steps
from merlin_popsampler.core.tables import inverse_table, probs_by_id
from tests.support.recipes import by_recipe


class Shifted(Law):
    name = "shifted in a test"

    def __init__(self):
        super().__init__(Pieces([0], [1.0], 60, shift=4.5))

    def get_config(self):
        return {"name": self.name}


COUNTS = [40, 22, 22, 9, 5, 5, 5, 2, 1, 1, 1]
LAWS = {
    "log_uniform": LogUniform(60),
    "shifted": Shifted(),
    "uniform": Uniform(60),
    "steps": Empirical(Steps.from_counts(COUNTS)),
    "one step": Empirical(Steps.from_counts([3, 3, 3])),
}
GRID = (np.arange(2**20) + 0.5) / 2**20


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("head_piece", [0, 1, 3])
@pytest.mark.parametrize("behind", [False, True])
def test_uniforms_become_ranks_in_proportion(name, head_piece, behind):
    law = LAWS[name]
    heads, masses = law.pieces.heads()
    head_piece = min(head_piece, len(heads) - 1)
    table = inverse_table(law, int(heads[head_piece]))
    counts = np.bincount(by_recipe(table, GRID, behind), minlength=law.size) / len(GRID)
    probs = law.probs()
    if behind:
        probs[: heads[head_piece]] = 0.0
        probs /= 1 - masses[head_piece]
    # A rank's uniforms lie in one stretch for each column whose alias its piece is.
    assert np.abs(counts - probs).max() < 2 * (1 + len(law.pieces.starts)) / len(GRID)


def test_tables_are_made_once_for_equal_laws():
    assert inverse_table(LogUniform(77), 3) is inverse_table(LogUniform(77), 3)
    assert inverse_table(LogUniform(77), 3) is not inverse_table(LogUniform(78), 3)


def test_a_table_of_256_pieces_is_short():
    law = Empirical(Steps.from_counts((1e9 / np.arange(1, 10**6)).astype(np.int64)))
    table = inverse_table(law)
    assert len(law.pieces.starts) == 256
    assert table.cuts.nbytes + table.lines.nbytes <= 40 * 256


def test_probabilities_by_id_are_the_law_s_behind_the_reserved_ids():
    law, domain = LogUniform(3 * 2**20 + 5), IdDomain(4, 3 * 2**20 + 8)
    probs = probs_by_id(law, domain)
    assert probs.dtype == np.float32 and len(probs) == domain.cardinality
    assert not probs[:4].any()
    np.testing.assert_array_equal(probs[4:], law.probs().astype(np.float32))
