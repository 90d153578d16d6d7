"""How many draws a batch of a report holds."""

import pytest

from merlin_popsampler import PopSamplerError
from merlin_popsampler.cli.batch import draws_of_a_batch


@pytest.mark.parametrize(
    ("size", "draws"),
    [(1, 1), (19, 1), (20, 2), (1000, 100), (9999, 999), (10_000, 1000), (10**9, 1000)],
)
def test_a_tenth_of_the_items_up_to_a_thousand(size, draws):
    assert draws_of_a_batch(None, size) == draws


def test_what_was_asked_for_up_to_all_items():
    assert [draws_of_a_batch(wanted, 7) for wanted in (1, 7)] == [1, 7]
    for wanted in (0, 8):
        with pytest.raises(PopSamplerError, match="--num-sampled"):
            draws_of_a_batch(wanted, 7)
