"""Tests that the columns of the alias table sum to the distribution."""

import hypothesis
import hypothesis.strategies as st
import numpy as np

from merlin_popsampler.core.alias import alias_table


@hypothesis.given(
    st.lists(
        st.one_of(st.floats(1e-6, 1e6), st.integers(1, 3).map(float)), min_size=1, max_size=300
    )
)
def test_the_columns_give_back_the_masses(masses):
    cuts, aliases = alias_table(masses)
    assert ((cuts > 0) & (cuts <= 1)).all()
    given = cuts.copy()
    np.add.at(given, aliases, 1 - cuts)
    expected = np.array(masses) / np.sum(masses)
    np.testing.assert_allclose(given / len(cuts), expected, atol=1e-12)
