"""Compares the evaluation with rankings by hand."""

import sys
from pathlib import Path

import numpy as np
import pytest

from merlin_popsampler.core.domain import IdDomain
from tests.support import ranking_cases

sys.path.insert(0, str(Path(__file__).parents[2] / "workflows"))
pytest.importorskip("tqdm")

from baselines import popularity_scorer
from evaluate import as_table, bands_of, by_length, evaluate, leave_last_out, report

DOMAIN = IdDomain(3, 9)


def scorer_of(scores):
    return lambda queries: np.repeat(np.asarray(scores, np.float32)[None], len(queries), axis=0)


def test_the_last_item_is_left_out():
    queries, positives = leave_last_out([np.array([5, 3, 4]), np.array([7, 9])])
    assert [query.tolist() for query in queries] == [[5, 3], [7]]
    assert positives.tolist() == [4, 9]


@pytest.mark.parametrize(("positive", "place"), [(4, 1), (5, 2), (9, 6)])
def test_places_of_the_popularity_baseline(positive, place):
    """Item 3 of the query is not recommended, so 4 comes first."""
    found = evaluate(popularity_scorer(DOMAIN), [np.array([3])], np.array([positive]), DOMAIN, k=6)
    assert found["recall@6"] == 1.0
    assert found["ndcg@6"] == pytest.approx(1 / np.log2(place + 1))


def test_beyond_the_list_is_a_miss():
    found = evaluate(popularity_scorer(DOMAIN), [np.array([3])], np.array([9]), DOMAIN, k=5)
    assert found == {"recall@5": 0.0, "ndcg@5": 0.0}


def test_reserved_ids_are_never_recommended():
    scores = [9, 9, 9, 1, 2, 3, 4, 5, 6, 7]
    found = evaluate(scorer_of(scores), [np.array([3])], np.array([9]), DOMAIN, k=1)
    assert found["recall@1"] == 1.0


@pytest.mark.parametrize("positive", [1, 2, 3])
def test_positives_that_cannot_be_recommended_are_misses(positive):
    """Cases: null, unknown keys, and items of the query."""
    scores = np.full(10, -1.0)
    scores[positive] = 5.0
    found = evaluate(scorer_of(scores), [np.array([3])], np.array([positive]), DOMAIN, k=7)
    assert found["recall@7"] == 0.0


def test_equal_scores_recommend_nothing():
    found = evaluate(
        scorer_of(np.zeros(10)), [np.array([3])] * 4, np.array([4, 5, 6, 9]), DOMAIN, k=5
    )
    assert found["recall@5"] == 0.0


@pytest.mark.parametrize("name", ranking_cases.MODELS)
def test_recalls_of_small_models_by_hand(name):
    """Regression: no item of the query is excluded here."""
    vectors, _, recall = ranking_cases.MODELS[name]
    with np.errstate(invalid="ignore"):
        scores = ranking_cases.QUERIES @ vectors.T
    found = evaluate(
        lambda _: scores,
        [np.array([0])] * 3,
        ranking_cases.TRUE_IDS,
        IdDomain(ranking_cases.MIN_ID, ranking_cases.MAX_ID),
        ranking_cases.TOP_K,
    )
    assert found == {"recall@2": recall, "ndcg@2": recall}


def test_nan_scores_of_other_items_count_against_the_positive():
    """Regression: items of the query are not ranked, at any score."""
    scores = [0, 0, 0, np.nan, np.nan, 5, 9, 1, 2, 3]
    for positive, place in ((6, 2), (5, 3), (4, None)):
        queries, positives = [np.array([3])], np.array([positive])
        found = evaluate(scorer_of(scores), queries, positives, DOMAIN, k=7)
        assert found["ndcg@7"] == pytest.approx(1 / np.log2(place + 1) if place else 0.0)


def test_batches_change_nothing(rng):
    scores = rng.normal(size=10)
    sessions = [rng.permutation(np.arange(3, 10))[:4] for _ in range(37)]
    queries, positives = leave_last_out(sessions)
    whole = evaluate(scorer_of(scores), queries, positives, DOMAIN, k=2)
    assert whole == evaluate(scorer_of(scores), queries, positives, DOMAIN, k=2, batch_size=5)


@pytest.mark.parametrize("rows", [2, 32])
def test_queries_of_all_lengths_keep_their_positives(rows, monkeypatch):
    """Scores of a query prefer the id after its last one."""
    monkeypatch.setattr("evaluate._ROWS", rows)
    queries = [np.array(ids) for ids in ([4, 5, 6], [3], [8, 7], [9, 8, 7, 3], [5])]
    positives = np.array([7, 4, 8, 5, 6])

    def score(asked):
        return np.array([np.arange(10) == ids[-1] + 1 for ids in asked], np.float32)

    for batch_size in (1, 2, 5):
        found = evaluate(score, queries, positives, DOMAIN, k=1, batch_size=batch_size)
        # 8 is an item of its query, and 5 is not the best item of the fourth query.
        assert found["recall@1"] == 3 / 5


def test_batches_hold_queries_of_similar_length():
    queries = [np.arange(length) for length in (3, 0, 5, 1, 1, 2)]
    assert [rows.tolist() for rows in by_length(queries, 4)] == [[1, 3, 4, 5], [0, 2]]
    assert by_length([]) == []


# ------------------------------------------------------------------ bands and coverage

SESSIONS = [np.array(ids) for ids in ([3, 3, 4], [3, 4, 5], [3, 5, 1], [4, 6], [0, 7])]
"""Item 3 occurs four times, 4 three times, 5 twice, 6 and 7 once, 8 and 9 never."""
BANDS_OF_IDS = [-1, -1, -1, 0, 1, 1, 2, 2, -1, -1]


def test_bands_by_hand():
    """A fifth of 11 interactions is 2.2: item 3 has more, and so have 5, 6 and 7 together."""
    found = bands_of(SESSIONS, DOMAIN)
    assert found.tolist() == [-1, -1, -1, 0, 1, 2, 2, 2, -1, -1]
    even = bands_of([np.arange(3, 8)], DOMAIN)
    assert even.tolist() == [-1, -1, -1, 0, 1, 1, 1, 2, -1, -1]


def test_a_report_by_hand():
    """Queries with item 3 get the list 4, 5, the rest gets 3, 4."""
    queries = [np.array(ids) for ids in ([3], [3, 9], [8], [9])]
    positives = np.array([4, 7, 3, 1])
    found = report(
        popularity_scorer(DOMAIN), queries, positives, DOMAIN, np.array(BANDS_OF_IDS), k=2
    )
    assert found == {
        "recall@2": 0.5,
        "ndcg@2": 0.5,
        "recall@2 head": 1.0,
        "ndcg@2 head": 1.0,
        "recall@2 middle": 1.0,
        "ndcg@2 middle": 1.0,
        "recall@2 tail": 0.0,
        "ndcg@2 tail": 0.0,
        "coverage@2": 3 / 7,
        "queries": 4,
    }


def test_a_list_holds_only_items_that_may_be_recommended():
    """Only three items may be recommended, and one of them has the score NaN."""
    scores = [9, 9, 9, 1, 2, 3, 4, 5, np.nan, 7]
    bands = np.full(10, 1)
    found = report(scorer_of(scores), [np.array([3, 4, 5, 6])], np.array([9]), DOMAIN, bands, k=20)
    assert found["coverage@20"] == 2 / 7
    assert "recall@20 head" not in found


@pytest.mark.parametrize("items", [3, 63, 64, 65, 500, 3000])
def test_coverage_of_scores_with_ties_nan_and_infinities(items, rng):
    """Compares with sorted lists; of equal scores, lower ids are listed."""
    domain, k = IdDomain(3, 2 + items), 20
    scores = rng.integers(0, 9, (3, items + 3)).astype(np.float32)
    scores[1] = rng.random(items + 3)
    for value, share in ((np.nan, 0.1), (np.inf, 0.002), (-np.inf, 0.1)):
        scores[rng.random(scores.shape) < share] = value
    scores[2] = rng.random(items + 3) * (np.arange(items + 3) % 100 == 3)  # far from each other
    queries = [np.array([3, number]) for number in (3, 4, 5)]
    listed = set()
    for row, query in zip(scores, queries):
        ids = [i for i in range(3, items + 3) if i not in query and row[i] > -np.inf]
        listed.update(sorted(ids, key=lambda i: (-row[i], i))[:k])

    def score(asked):
        return np.stack([scores[query[1] - 3] for query in asked])

    found = report(score, queries, np.full(3, 3), domain, np.full(items + 3, 1), k)
    assert found["coverage@20"] == len(listed) / items


def test_a_band_without_positives_is_a_dash_in_the_table():
    rows = {
        "popularity": {"recall@20": 0.1, "ndcg@20": 0.05, "coverage@20": 0.01},
        "model": {"recall@20": 0.25, "ndcg@20": 0.1, "recall@20 tail": 0.02, "coverage@20": 0.5},
    }
    head, base, model = (line.split() for line in as_table(rows).splitlines())
    assert head[:6] == ["recall@20", "ndcg@20", "head", "middle", "tail", "coverage"]
    assert base == ["popularity", "0.1000", "0.0500", "-", "-", "-", "0.0100", "1.00"]
    assert model == ["model", "0.2500", "0.1000", "-", "-", "0.0200", "0.5000", "2.50"]
