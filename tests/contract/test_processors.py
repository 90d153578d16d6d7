"""Regression: the same data give the same contract, as text, on every processor.

Compared are the distances in `fit` (log, sums), the steps (whose merging once used log and exp),
`total` and `digest` (integers), and the bounds of the parts of a counts file (once a linspace). So
are the properties of joint columns, the outputs of the notebook, golden losses (with tolerances)
and golden draws (`tests/core/test_processors.py`).
"""

import json
import math

import numpy as np
import pytest

from merlin_popsampler import PopularityMetadata
from merlin_popsampler.contract.metadata import rounded
from merlin_popsampler.core.distributions import Empirical, LogUniform
from tests.support.processors import levels, run_on

CONTRACTS = """
import json
import numpy as np
from merlin_popsampler import PopularityMetadata

rng = np.random.default_rng(3)
for size in (1, 2, 3, 7, 400, 12_345, 200_000):
    for exponent in (1.2, 1.4, 2.5):
        counts = np.sort(rng.zipf(exponent, size).clip(max=10**6))[::-1]
        for steps in (16, 256):
            metadata = PopularityMetadata.from_counts(counts, 3, "counted", steps)
            print(json.dumps(metadata.to_dict(), sort_keys=True))
falling = 10**9 // np.arange(10, 100_000)
print(json.dumps(PopularityMetadata.from_counts(falling, 3, "counted", 256).to_dict()))
"""


@pytest.mark.parametrize("level", levels())
def test_contracts_are_the_same_text_on_every_processor(level):
    assert levels()[level], "expected NumPy to have features that can be switched off"
    here, there = (run_on(lacks, CONTRACTS).splitlines() for lacks in ([], levels()[level]))
    assert len(here) == 43
    assert here == there


def sums(terms):
    """Returns the sum of the terms in several orders, as of other processors and libraries."""
    yield float(np.cumsum(terms)[-1])
    yield float(np.cumsum(terms[::-1])[-1])
    yield float(terms.sum())
    yield float(terms @ np.ones(len(terms)))
    yield math.fsum(terms)
    for block in (8, 32, 1000):
        padded = np.append(terms, np.zeros(-len(terms) % block))
        yield float(np.cumsum(padded.reshape(-1, block).sum(axis=1))[-1])
        yield float(np.cumsum(np.cumsum(padded.reshape(-1, block), axis=0)[-1])[-1])


def other_last_bits(rng, values):
    """Changes last bits at random, as log and exp differ between processors."""
    return np.nextafter(values, values + rng.integers(-1, 2, len(values)))


def everywhere(distribution, counts, rng):
    """Computes distances as on other processors: with other last bits and orders of sums."""
    data = counts / counts.sum()
    for _ in range(3):
        probs = other_last_bits(rng, distribution.probs())
        logs = other_last_bits(rng, np.log(data / probs))
        for tv, kl in zip(sums(np.abs(data - probs)), sums(data * logs)):
            yield {"tv": 0.5 * tv, "kl": max(0.0, kl)}


def ties():
    """Returns counts whose total variation is half-way between two numbers of six decimals.

    Three ids in two steps: the lower counts differ from their mean by a whole number, of a total of
    2 million.
    """
    for odd in range(1, 400, 26):
        rest = 2_000_000 - 1_500_000
        yield np.array([1_500_000, rest // 2 + odd, rest // 2 - odd])


@pytest.mark.parametrize(
    "counts",
    [
        *(pytest.param(counts, id=f"tie-{i}") for i, counts in enumerate(ties())),
        *(
            pytest.param(
                np.sort(np.random.default_rng(size).zipf(1.3, size).clip(max=9999))[::-1],
                id=f"zipf-{size}",
            )
            for size in (1, 5, 30, 1000, 20_000)
        ),
    ],
)
def test_the_contract_does_not_depend_on_the_order_of_sums_or_last_bits(counts, rng):
    """Reversed and blocked sums stand for other BLAS libraries."""
    metadata = PopularityMetadata.from_counts(counts, 3, "counted", max_steps=2)
    for name, distribution in (
        ("log_uniform", LogUniform(len(counts))),
        ("steps", metadata.distribution()),
    ):
        found = list(everywhere(distribution, counts, rng))
        assert {json.dumps(rounded(distance)) for distance in found} == {
            json.dumps(metadata.fit[name])
        }
        assert metadata.fit[name] == pytest.approx(found[0], abs=1e-6)


def test_plain_rounding_would_not_do(rng):
    """Plain rounding to six decimals depends on the order of sums if a tie is exact."""
    parted = 0
    for counts in ties():
        distribution = PopularityMetadata.from_counts(
            counts, 3, "counted", max_steps=2
        ).distribution()
        assert isinstance(distribution, Empirical)
        parted += (
            len({round(found["tv"], 6) for found in everywhere(distribution, counts, rng)}) > 1
        )
    assert parted
