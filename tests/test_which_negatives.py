"""Tests that docs/which-negatives.md is generated from docs/results/, which support it."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

import which_negatives

FOUND = which_negatives.results()
SMALL = [
    "popularity",
    "item kNN",
    "full softmax",
    "uniform, corrected, 256",
    "measured, corrected, 256",
    "measured, uncorrected, 256",
    "in-batch, corrected",
    "in-batch, uncorrected",
]


def test_the_page_is_made_of_the_results():
    assert which_negatives.PAGE.read_text(encoding="utf-8") == which_negatives.page(FOUND)


def test_another_result_makes_another_page():
    changed = {name: {**data, "items": 7} for name, data in FOUND.items()}
    assert which_negatives.page(changed) != which_negatives.page(FOUND)


def test_the_small_table_is_whole():
    assert sorted(FOUND) == ["Beauty", "completejourney"]
    for data in FOUND.values():
        of_name = {which_negatives.named(row): row for row in data["rows"]}
        assert set(SMALL) <= set(of_name)
        assert all(of_name[name]["seeds"] == [1, 2, 3] for name in SMALL[2:])


def errors(row, name):
    """Returns a difference of R@10 in standard errors."""
    difference, error = row[f"{name} recall@10"].strip(")").split(" (")
    return float(difference) / float(error)


BEAUTY, GROCERIES = (which_negatives.values(FOUND[name]) for name in sorted(FOUND))
MEASURED, UNIFORM, BATCH = SMALL[4], SMALL[3], SMALL[6]
TRAINED = SMALL[2:]


def order(rows, column):
    return sorted(rows, key=lambda name: -BEAUTY[name][column])


@pytest.mark.parametrize(
    ("said", "holds"),
    [
        (
            "needs more epochs",
            BEAUTY[MEASURED]["best_epoch"] > BEAUTY["full softmax"]["best_epoch"],
        ),
        ("less time", BEAUTY[MEASURED]["time to best"] < 75),
        ("costs recall", errors(BEAUTY[MEASURED], "difference") < -3),
        ("within the errors", abs(errors(GROCERIES[MEASURED], "difference")) < 2),
        (
            "the correction matters",
            all(
                errors(data[name], "from_corrected") < -5
                for data in (BEAUTY, GROCERIES)
                for name in TRAINED
                if "uncorrected" in name
            ),
        ),
        ("no better than popularity", GROCERIES[SMALL[5]]["best_epoch"] == 0),
        ("ahead after one epoch", errors(GROCERIES[UNIFORM], "difference") < -5),
        ("as good", BEAUTY[UNIFORM]["recall@10"] > BEAUTY[MEASURED]["recall@10"] - 0.001),
        (
            "the best of the corrected ways on the tail",
            order(["full softmax", MEASURED, UNIFORM, BATCH], "recall@10 tail")[:2]
            == ["full softmax", UNIFORM],
        ),
        (
            "in-batch negatives lose a little more",
            all(
                data[BATCH]["difference recall@10 share"]
                < data[MEASURED]["difference recall@10 share"]
                for data in (BEAUTY, GROCERIES)
            ),
        ),
        (
            "fewer items",
            order([BATCH, MEASURED, "full softmax"], "coverage@10")[-1] == BATCH,
        ),
        (
            "without the correction the tail gains, and the head loses more",
            all(
                0
                < BEAUTY[other]["recall@10 tail"] - BEAUTY[one]["recall@10 tail"]
                < BEAUTY[one]["recall@10 head"] - BEAUTY[other]["recall@10 head"]
                for one, other in ((MEASURED, SMALL[5]), (BATCH, SMALL[7]))
            ),
        ),
        ("no hit on the tail", all(GROCERIES[name]["recall@10 tail"] < 5e-4 for name in TRAINED)),
        (
            "from 256 samples on that of the full softmax or above",
            all(
                errors(GROCERIES[f"measured, corrected, {samples}"], "difference") > -2
                for samples in (256, 1024, 4096)
            ),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_it_says_without_a_number(said, holds):
    assert holds, said
