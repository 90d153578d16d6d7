"""Reads every message of the package from its source, and matches it with tests and tables."""

import ast
import re
import warnings
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Set

import merlin_popsampler
from merlin_popsampler.errors import PopSamplerError

PACKAGE = Path(merlin_popsampler.__file__).parent
OURS = ("PopSamplerError", "SchemaError", "FrequencyOrderError")
_GAP = "{}"
_TELLING = 14
"""Length of a text that identifies one message."""


@dataclass(frozen=True)
class Entry:
    """Describes one message, and tests its advice.

    Args:
      says: part of the message that is unique in its module.
      provoke: raises it or warns of it; takes an empty folder. None if another test does so.
      cures: functions that follow the advice, one for each API that the message names; each must
        succeed in a folder of its own.
      excepted: why it is not provoked here.
    """

    says: str
    provoke: Optional[Callable[[Path], Any]] = None
    cures: Sequence[Callable[[Path], Any]] = ()
    excepted: str = ""


def messages_of(source: str) -> List[str]:
    """Returns the constant text of each message of a module, with gaps as `{}`.

    A message that only puts the name of a column before another message has no text of its own.
    Advice that is passed to `whole_number` and similar functions counts as a message of the caller.
    """
    tree = ast.parse(source)
    found = []
    for node in ast.walk(tree):
        name = _called(node) if isinstance(node, ast.Call) else ""
        if name in (*OURS, "warn", "whole_number", "positive_number", "fraction"):
            words = " ".join(_text(argument, tree) for argument in node.args).split()
            text = " ".join(words)
            if re.sub(r"Column|[^a-z]|\{\}", "", text):
                found.append(text)
    return found


def modules_with_messages() -> Dict[str, List[str]]:
    """Returns messages by the name of the module in the package, such as "core.distributions"."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        messages = messages_of(path.read_text(encoding="utf-8"))
        if messages:
            found[".".join(path.relative_to(PACKAGE).with_suffix("").parts)] = messages
    return found


def without_entry(messages: Sequence[str], entries: Sequence[Entry]) -> List[str]:
    """Returns the messages without an entry."""
    return [text for text in messages if not any(entry.says in text for entry in entries)]


def matched_by_tests(folder: Path) -> Set[str]:
    """Returns the messages that a test matches by a text that is in no other message.

    Args:
      folder: of the tests; the tables in its `messages` are left out.
    """
    texts = {text for messages in modules_with_messages().values() for text in messages}
    owners: Dict[str, Set[str]] = defaultdict(set)
    for text in texts:
        for piece in text.split(_GAP):
            for window in _windows(piece):
                owners[window].add(text)
    telling = {window: text for window, (text, *others) in owners.items() if not others}
    found = set()
    for path in folder.rglob("*.py"):
        if path.parent != folder / "messages":
            for string in _strings(path.read_text(encoding="utf-8")):
                found.update(telling[w] for w in _windows(string) if w in telling)
    return found


def _windows(text: str) -> Iterator[str]:
    text = " ".join(text.split())
    return (text[start : start + _TELLING] for start in range(len(text) - _TELLING + 1))


def _strings(source: str) -> Iterator[str]:
    """The strings of a program, docstrings left out, and regular expressions as plain text."""
    nodes = list(ast.walk(ast.parse(source)))
    documents = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in documents
        ):
            yield node.value.replace("\\", "")


def said(function: Callable[[Path], Any], folder: Path) -> List[str]:
    """Returns the warnings and the error of a call, of this package only."""
    folder.mkdir()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            function(folder)
        except PopSamplerError as error:
            return [*(str(warning.message) for warning in caught), str(error)]
    return [str(warning.message) for warning in caught]


def warned(function: Callable[[Path], Any], folder: Path) -> List[str]:
    """Returns the warnings of a call that succeeds."""
    folder.mkdir()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function(folder)
    return [str(warning.message) for warning in caught]


def _called(node: ast.Call) -> str:
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def _text(node: ast.AST, tree: ast.AST) -> str:
    """Returns the constant parts of an expression."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part, tree) or _GAP for part in node.values)
    return " ".join(_text(part, tree) for part in _parts(node, tree))


def _parts(node: ast.AST, tree: ast.AST) -> List[ast.expr]:
    """Returns the expressions that an expression's text consists of.

    A name stands for everything that is assigned to it, a call for what the function returns.
    """
    if isinstance(node, ast.BinOp):
        return [node.left, node.right]
    if isinstance(node, ast.FormattedValue) and isinstance(node.value, ast.IfExp):
        return [node.value.body, node.value.orelse]
    if isinstance(node, ast.Call):
        return _returned(_called(node), tree)
    if isinstance(node, ast.Name):
        return [
            other.value
            for other in ast.walk(tree)
            if isinstance(other, ast.Assign) and _names(other) == [node.id]
        ]
    return []


def _returned(function: str, tree: ast.AST) -> List[ast.expr]:
    """Yields the return values of a function of the module."""
    return [
        node.value
        for definition in ast.walk(tree)
        if isinstance(definition, ast.FunctionDef) and definition.name == function
        for node in ast.walk(definition)
        if isinstance(node, ast.Return) and node.value is not None
    ]


def _names(assignment: ast.Assign) -> List[str]:
    return [getattr(target, "id", "") for target in assignment.targets]
