"""Texts use the terms of the field and short sentences; see `docs/glossary.md` for the terms."""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

import merlin_popsampler

ROOT = Path(__file__).parents[1]
PACKAGE = Path(merlin_popsampler.__file__).parent

FORBIDDEN = re.compile(
    r"\b(?:words?|prices?|priced|laws?|nobody|somebody|whoever|whatever|beside|others|ours|theirs"
    r"|given up|on its way|for all to see)\b"
    r"|(?<!there )\b(?:is|are|was|were) no (?!longer\b|more\b|less\b)",
    re.IGNORECASE,
)
"""Private terms, vague pronouns, and "is no X" for "is not a valid X"."""

ALLOWED = re.compile(
    r"\b(?:32|64)-bit words?\b"
    r"|\bpower laws?\b|\bZipf's law\b"
    r"|\ba column called price\b|\bbrand price\b|['\"]price['\"]",
    re.IGNORECASE,
)
"""Exceptions: standard terms, and the name of a column in examples."""

LONGEST = 25
"""Maximum number of words in a sentence; a span of code counts as one."""

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
PROGRAMS = [*sorted(PACKAGE.rglob("*.py")), *sorted((ROOT / "workflows").glob("*.py"))]
SCRIPTS = [
    path
    for folder in ("tools", "benchmarks", "tests")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path != Path(__file__)  # names the terms
]
"""Programs whose strings are often data, so that only docstrings and comments are checked."""


def name_of(path):
    root = PACKAGE.parent if PACKAGE in path.parents else ROOT
    return path.relative_to(root).as_posix()


def texts_of_program(source):
    """Yields strings, with adjacent ones joined, and all comments as one text."""
    nodes = list(ast.walk(ast.parse(source)))
    formatted = [node.values for node in nodes if isinstance(node, ast.JoinedStr)]
    for parts in formatted:
        yield "".join(p.value if isinstance(p, ast.Constant) else "{}" for p in parts)
    inner = {id(part) for parts in formatted for part in parts}
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
            yield node.value
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    yield " ".join(token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT)


def docstrings_and_comments(source):
    """Yields docstrings, also those below constants, and all comments as one text."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield str(node.value.value)
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = (token.string for token in tokens if token.type == tokenize.COMMENT)
    yield " ".join(text.lstrip("# ") for text in comments if "noqa" not in text)


def forbidden_in(text):
    """Returns the forbidden terms with their context."""
    text = ALLOWED.sub("", " ".join(text.split()))
    return [text[max(0, m.start() - 40) : m.end() + 40] for m in FORBIDDEN.finditer(text)]


def sentences_of(page):
    """Yields the sentences of a page, without code, tables, headings and comments."""
    page = re.sub(r"^```.*?^```", "\n", page, flags=re.DOTALL | re.MULTILINE)
    page = re.sub(r"^(?:\||#|:::|    options:|!\[).*$", "\n", page, flags=re.MULTILINE)
    for paragraph in re.split(r"\n\s*\n|^\s*(?:[-*]|[0-9]+\.) ", page, flags=re.MULTILINE):
        text = re.sub(r"`[^`]*`", "Code", " ".join(paragraph.split()))
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text).replace("**", "")
        yield from re.split(r"(?<=[.!?])\s+(?=[\"A-Z(])", text)


def words_of(sentence):
    return re.findall(r"[^\W_][\w.,'/%-]*", sentence)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_pages_use_the_terms_of_the_field(page):
    assert forbidden_in(re.sub(r"`[^`]*`", "", page.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("program", PROGRAMS, ids=name_of)
def test_programs_use_the_terms_of_the_field(program):
    found = map(forbidden_in, texts_of_program(program.read_text(encoding="utf-8")))
    assert sum(found, []) == []


@pytest.mark.parametrize("script", SCRIPTS, ids=name_of)
def test_docstrings_and_comments_use_the_terms_of_the_field(script):
    found = map(forbidden_in, docstrings_and_comments(script.read_text(encoding="utf-8")))
    assert sum(found, []) == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_sentences_are_short(page):
    sentences = sentences_of(page.read_text(encoding="utf-8"))
    assert [s for s in sentences if len(words_of(s)) > LONGEST] == []


def test_the_checks_find_what_they_look_for():
    source = 'raise ValueError(f"{0} is "\n  "no number")  # whoever\n# reads\n# beside'
    found = [hit for text in texts_of_program(source) for hit in forbidden_in(text)]
    assert len(found) == 3
    source = 'def f():\n    """For whoever."""\n    return "words"  # of nobody'
    found = [hit for text in docstrings_and_comments(source) for hit in forbidden_in(text)]
    assert len(found) == 2
    assert forbidden_in("a power law, Zipf's law, 64-bit words; there is no table") == []
    long = " ".join(["one"] * LONGEST)
    sentences = sentences_of(f"{long}.\n\n- {long} two. `a b` c.\n\n| {long} |\n```\n{long}\n```")
    assert [len(words_of(sentence)) for sentence in sentences if sentence] == [25, 26, 2]
