"""Tests how often an id may occur after its encoder."""

import numpy as np
import pytest

from merlin_popsampler.errors import FrequencyOrderError
from merlin_popsampler.ops.upstream import check_unchanged

MOST = [0, 2, 1, 9, 4]


@pytest.mark.parametrize("passed", [[], [0, 2], MOST, [0, 0, 0, 9, 0]])
def test_what_the_encoder_may_have_given(passed):
    check_unchanged("item_id", np.array(passed, np.int64), np.array(MOST))


@pytest.mark.parametrize(
    ("passed", "shown"),
    [
        ([1], "id 0 1 times, of at most 0"),
        ([0, 2, 2, 10], "id 2 2 times, of at most 1"),
        ([0, 2, 1, 9, 4, 0, 1], "id 6, where the encoder's last is 4"),
    ],
)
def test_what_it_cannot_have_given(passed, shown):
    with pytest.raises(FrequencyOrderError, match=f"'item_id'.*Received: {shown}"):
        check_unchanged("item_id", np.array(passed), np.array(MOST))
