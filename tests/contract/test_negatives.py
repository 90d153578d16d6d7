"""Tests the arguments of `contrastive_logits` that both frameworks check alike."""

from typing import Any, NamedTuple

import numpy as np
import pytest

from merlin_popsampler.contract.negatives import check_contrastive
from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.errors import PopSamplerError


class Candidates(NamedTuple):
    vectors: Any
    ids: Any
    counts: Any


DOMAIN = IdDomain(3, 6)
VECTORS = np.ones([2, 8])
GIVEN = Candidates(VECTORS, np.array([3, 4]), np.ones(2))


def check(query=VECTORS, domain=DOMAIN, temperature=1.0, logq_strength=1.0, **others):
    settings = {"correct_positive": others.pop("correct_positive", True)}
    given = {"positive": GIVEN, "negative": GIVEN, **others}

    def is_array(part):
        return isinstance(part, np.ndarray)

    check_contrastive(
        query, given, domain, Candidates, is_array, temperature, logq_strength, **settings
    )


def test_right_arguments_pass():
    check()
    check(temperature=0.05, logq_strength=0)
    check(temperature=np.ones([2, 1]))  # an array may hold one of each row


def test_counts_may_be_a_number_or_unused():
    check(positive=GIVEN._replace(counts=1.0), negative=GIVEN._replace(counts=0.5))
    check(positive=GIVEN._replace(counts=None), correct_positive=False)
    with pytest.raises(PopSamplerError, match="negative to be Candidates"):
        check(negative=GIVEN._replace(counts=None), correct_positive=False)


@pytest.mark.parametrize("wrong", ["positive", "negative"])
@pytest.mark.parametrize("parts", [tuple, lambda found: found._replace(counts=None)])
def test_candidates_are_tensors(wrong, parts):
    with pytest.raises(PopSamplerError, match=f"{wrong} to be Candidates of three tensors"):
        check(**{wrong: parts(GIVEN)})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0}, "temperature to be a finite.*A temperature of 1.0 changes no score"),
        ({"temperature": -1.0}, "temperature to be a finite number above 0"),
        ({"logq_strength": 1.5}, "logq_strength to be .*Take 1.0, or less for a part of it"),
    ],
)
def test_numbers_out_of_range_are_refused(settings, message):
    """They would give scores of the wrong sign, or NaN."""
    with pytest.raises(PopSamplerError, match=message):
        check(**settings)


@pytest.mark.parametrize("wrong", [{"query": None}, {"domain": (3, 6)}])
def test_queries_and_domains_of_another_kind_are_refused(wrong):
    with pytest.raises(PopSamplerError, match="the domain of the ids.*Pass sampler.domain"):
        check(**wrong)
