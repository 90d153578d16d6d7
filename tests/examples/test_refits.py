"""Tests that the notebook of refits runs, and prints its saved outputs."""

import re

import pytest

from tests.support.notebooks import code_cells, executed, kept, texts
from tests.support.same_output import difference

NAME = "refits.ipynb"


def recalls(cells):
    """Reads the recalls of the four models, in the order of the table."""
    (said,) = [text for text in texts(cells) if text.strip().startswith("recall@20")]
    return [float(number) for number in re.findall(r" (0\.\d+)$", said, re.MULTILINE)]


def check(found):
    """Checks that one epoch after a warm start reaches the recall of many from scratch."""
    warm, one_more, scratch, long = found
    assert 0.5 < warm < one_more
    assert scratch + 0.05 < one_more
    assert one_more > 0.98 * long


@pytest.mark.merlin_models
def test_a_warm_start_keeps_what_was_learned(tmp_path, monkeypatch):
    cells, before = code_cells(executed(NAME, tmp_path, monkeypatch)), code_cells(kept(NAME))
    check(recalls(cells))
    assert recalls(before) == pytest.approx(recalls(cells), rel=0.1)
    # By cell, since the output of a cell may be split into several pieces.
    found, held = (["".join(texts([cell])) for cell in some] for some in (cells, before))
    assert len(found) == len(held)
    pairs = [(now, then) for now, then in zip(found, held) if "recall@20" not in now]
    assert len(pairs) == len(found) - 1
    assert [d for d in map(difference, *zip(*pairs)) if d] == []


def test_the_kept_recalls_show_it():
    check(recalls(code_cells(kept(NAME))))
