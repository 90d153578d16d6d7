"""Regression: on another processor, a seed draws the same ids from the same tables.

Undistorted constants come from integers, sums, quotients and one log1p. Distorted ones need powers,
and expected counts exp and log. All of these may differ in the last bits. Decisions that depend on
them (the plan of a batch, the aliases) must not differ.
"""

import json

import numpy as np
import pytest

from tests.support.processors import levels, run_on

TABLES = """
import json
import numpy as np
from merlin_popsampler.core.draw_plan import plan_draws
from merlin_popsampler.core.expected_counts import build_expected_counts
from merlin_popsampler.core.tables import inverse_table
from merlin_popsampler.core.alias import alias_table
from tests.support.golden_draws import DISTRIBUTIONS
from tests.support.golden_samplers import CASES

uniforms = np.random.default_rng(3).random(200_000)
sampled = {case: distribution for case, (distribution, _, _) in CASES.items()}
distributions = {**DISTRIBUTIONS, **sampled}
for name, distribution in distributions.items():
    table, numbers = inverse_table(distribution), []
    for array in (table.cuts, table.lines):
        numbers += [] if array is None else array.ravel().tolist()
    some = np.arange(0, distribution.size, distribution.size // 400)
    counts = build_expected_counts(distribution, 60, True).expected_count(some)
    sizes = (7, 60, 390, min(distribution.size - 1, 20_000))
    print(json.dumps({
        "plans": [repr(plan_draws(distribution, n)) for n in sizes],
        "aliases": alias_table(distribution.segments.masses)[1].tolist(),
        "constants": [*table.whole, *table.behind, *numbers],
        "expected counts": counts.tolist(),
        "ranks": distribution.inverse(uniforms).tolist(),
    }))
"""


@pytest.mark.parametrize("level", levels())
def test_tables_and_draws_are_those_of_every_processor(level):
    outputs = [run_on(lacks, TABLES).splitlines() for lacks in ([], levels()[level])]
    assert len(outputs[0]) == len(outputs[1]) == 18
    for here, there in zip(*(map(json.loads, lines) for lines in outputs)):
        for decided in ("plans", "aliases", "ranks"):
            assert here[decided] == there[decided]
        np.testing.assert_allclose(here["constants"], there["constants"], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(here["expected counts"], there["expected counts"], rtol=1e-6)
