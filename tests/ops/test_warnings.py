"""Tests that a fit warns only if the user can act on it."""

import warnings

import numpy as np
import pandas as pd
import pytest
from nvtabular import ops

from merlin_popsampler import FrequencyCategorify, FrequencyOrder
from tests.support.workflow_helpers import dataset, fitted

KEYS = np.repeat(np.arange(50), [10_000, *[100] * 9, *[1] * 40])
"""Items that log-uniform fits badly: total variation 0.74."""


def said(make, *, by="merlin_popsampler"):
    """Builds, fits and transforms; returns the warnings of this package and of Categorify."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = dataset(pd.DataFrame({"item_id": KEYS}))
        fitted(make(), data).transform(data).compute()
    return [str(w.message) for w in caught if by in w.filename or "hash" in str(w.message)]


def test_a_fit_that_log_uniform_does_not_fit_says_nothing(out_path):
    assert said(lambda: ["item_id"] >> FrequencyCategorify(out_path=out_path)) == []
    assert said(lambda: ["item_id"] >> FrequencyOrder("count", "remap", out_path=out_path)) == []


@pytest.mark.parametrize("num_buckets", [1, 3, {"item_id": 3}])
def test_buckets_of_unknown_keys_raise_no_warning(out_path, num_buckets):
    options = {"num_buckets": num_buckets, "max_size": 20, "out_path": out_path}
    assert said(lambda: ["item_id"] >> FrequencyCategorify(**options)) == []


def test_warnings_of_stock_categorify_are_unchanged(out_path):
    FrequencyCategorify(num_buckets=3, out_path=out_path)
    (message,) = said(lambda: ["item_id"] >> ops.Categorify(num_buckets=3, out_path=out_path))
    assert message.startswith("Performing a hash-based transformation")
