"""Tests that notebooks hold the outputs of one run, and no traces of a machine."""

import re

import pytest

from tests.support.notebooks import EXAMPLES, code_cells, kept, texts

EVERY_NOTEBOOK = pytest.mark.parametrize(
    "name", sorted(path.name for path in EXAMPLES.glob("*.ipynb"))
)


@EVERY_NOTEBOOK
def test_the_kept_outputs_are_those_of_one_run(name):
    cells = code_cells(kept(name))
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} <= {
        "stream",
        "execute_result",
        "display_data",
    }
    assert {output.get("name", "stdout") for output in outputs} == {"stdout"}


@EVERY_NOTEBOOK
def test_the_kept_outputs_hold_nothing_of_a_machine(name):
    said = list(texts(code_cells(kept(name))))
    assert not any(re.search(r"(^|[\s'\"(=])(/|~|[A-Z]:\\)\w", text) for text in said)
    assert not any(re.search(r"[\r\x1b\x08]", text) for text in said)
    assert (EXAMPLES / name).stat().st_size < 400_000
