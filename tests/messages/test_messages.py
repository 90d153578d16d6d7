"""Every message is matched by a test, and advice that names a call or an argument works.

The tables hold the messages that no other test matches, and those whose advice names an API.
"""

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.messages import (
    Entry,
    matched_by_tests,
    messages_of,
    modules_with_messages,
    said,
    warned,
    without_entry,
)

if find_spec("tensorflow"):
    from tests.messages import (
        contract_table,
        contrastive_table,
        core_table,
        operators_table,
        ops_table,
        refit_table,
        tf_table,
    )

    TABLES = (
        core_table,
        contract_table,
        ops_table,
        operators_table,
        refit_table,
        tf_table,
        contrastive_table,
    )
    TORCH = False
else:
    pytest.importorskip("torch")
    from tests.messages import torch_table

    TABLES = (torch_table,)
    TORCH = True
TABLE = {module: entries for table in TABLES for module, entries in table.TABLE.items()}
ENTRIES = [
    pytest.param(
        entry,
        id=f"{module}: {entry.says}",
        marks=[pytest.mark.merlin_models] if "merlin_" in module else [],
    )
    for module, entries in TABLE.items()
    for entry in entries
]
ALL = modules_with_messages()
MESSAGES = {
    module: messages for module, messages in ALL.items() if module.startswith("torch.") == TORCH
}
"""The tables of this environment: those of PyTorch, or all other ones."""

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def matched():
    return matched_by_tests(Path(__file__).parents[1])


@pytest.mark.parametrize("module", sorted(MESSAGES))
def test_every_message_is_matched_by_a_test(module, matched):
    missing = without_entry(MESSAGES[module], TABLE.get(module, []))
    assert [text for text in missing if text not in matched] == []


@pytest.mark.parametrize("module", sorted(TABLE))
def test_every_entry_has_a_message(module):
    assert [e.says for e in TABLE[module] if not any(e.says in text for text in ALL[module])] == []


@pytest.mark.parametrize("entry", ENTRIES)
def test_the_message_appears_and_its_advice_works(entry: Entry, tmp_path):
    assert entry.provoke is not None or entry.excepted
    if entry.provoke is None:
        return
    messages = said(entry.provoke, tmp_path / "provoked")
    assert any(entry.says in message for message in messages), messages
    for number, cure in enumerate(entry.cures):
        messages = warned(cure, tmp_path / f"cured {number}")
        assert not any(entry.says in message for message in messages)


SOURCE = """
advice = "Do this."
def f(x):
    raise SchemaError(f"Expected {x} one. Received: {x!r}. " "Do that.")
    raise SchemaError(f"Column {x!r}: {error}") from error
    warnings.warn("Mind " + f"the {x}.", stacklevel=2)
    whole_number("n", x, 1, advice)
    raise ValueError("foreign")
"""


def test_messages_are_read_from_the_source():
    messages = messages_of(SOURCE)
    assert messages == [
        "Expected {} one. Received: {}. Do that.",
        "Mind the {}.",
        "n Do this.",
    ]
    assert without_entry(messages, [Entry("Mind the"), Entry("Do this")]) == messages[:1]


def test_a_message_is_matched_by_what_it_alone_says(tmp_path, monkeypatch):
    known = {"a": ["Expected {} to be a flat list.", "Expected {} to be a list of lists."]}
    monkeypatch.setattr("tests.support.messages.modules_with_messages", lambda: known)
    (tmp_path / "test_a.py").write_text('"""to be a flat list"""\nmatch = "Expected x to be a "')
    assert matched_by_tests(tmp_path) == set()
    (tmp_path / "test_b.py").write_text('match = r"x to be a flat list\\."')
    assert matched_by_tests(tmp_path) == {known["a"][0]}
