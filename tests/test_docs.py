"""Tests links, commands and Python blocks of README, CONTRIBUTING and `docs/`."""

import re
from pathlib import Path

import pytest

import merlin_popsampler
from tests.conftest import OPTIONAL
from tests.support.imports import imports_of
from tests.support.messages import modules_with_messages

ROOT = Path(__file__).parents[1]
PACKAGE = Path(merlin_popsampler.__file__).parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in PAGES}
EVERY_PAGE = pytest.mark.parametrize("name", TEXTS)


def code_of(text):
    """Returns fenced lines without prompts, and spans between backticks."""
    fenced = "".join(re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)).splitlines()
    lines = [line[2:] if line.startswith("$ ") else line for line in fenced]
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    return lines + [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]


def anchors_of(text):
    """Returns the anchors of a page's headings, as mkdocs and GitHub name them."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@EVERY_PAGE
def test_links_lead_somewhere(name):
    for link in re.findall(r"\]\(([^)\s]+)\)", TEXTS[name]):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.is_file(), link
        assert not anchor or anchor in anchors_of(target.read_text(encoding="utf-8")), link


@EVERY_PAGE
def test_make_commands_are_targets(name):
    targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for code in code_of(TEXTS[name]):
        called = re.match(r"(?:[A-Z_]+=\S+ )*make (?:[A-Z]+=\S+ )*([a-z0-9-]+)", code)
        assert called is None or called[1] in targets, code


def text_of_program(path):
    """Returns the source of a script and of the local modules that may define its flags."""
    text = path.read_text(encoding="utf-8")
    beside = [path.parent / f"{name}.py" for name in {*imports_of(text, path.stem)}]
    return "".join([text, *(p.read_text(encoding="utf-8") for p in beside if p.exists())])


@EVERY_PAGE
def test_programs_are_there_and_know_their_options(name, capsys):
    from merlin_popsampler.cli.commands import main  # loads Merlin, which takes seconds

    for code in code_of(TEXTS[name]):
        script = re.match(r"python ((?:workflows|benchmarks)/\S+)", code)
        command = re.match(r"python -m merlin_popsampler(?: ([a-z]+))?", code)
        if script:
            known = text_of_program(ROOT / script[1])
        elif command:
            with pytest.raises(SystemExit) as stop:
                main([*filter(None, command.groups()), "--help"])
            assert stop.value.code == 0, code
            known = capsys.readouterr().out
        else:
            continue
        for option in re.findall(r" (--[a-z-]+)", code):
            assert re.search(rf"{option}\b", known), code


@EVERY_PAGE
def test_files_of_the_checkout_are_there(name):
    folders = "merlin_popsampler|workflows|examples|benchmarks|tests|docs|constraints|tools|docker"
    folders += "|findings"
    for code in code_of(TEXTS[name]):
        if re.fullmatch(rf"(?:{folders})/[\w/.]*", code):
            # the package may be an installed one
            parent = PACKAGE.parent if code.startswith(PACKAGE.name) else ROOT
            assert (parent / code).exists(), code


@pytest.mark.parametrize(
    ("name", "code"),
    [
        pytest.param(name, code, id=f"{name}-{i}")
        for name, text in TEXTS.items()
        if name != "README.md"  # see test_readme
        for i, code in enumerate(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    ],
)
def test_python_blocks_run(name, code):
    for module in OPTIONAL:
        if re.search(rf"^(?:import|from) (?:merlin_popsampler\.)?{module}\b", code, re.MULTILINE):
            pytest.importorskip(module)
    if re.search(r"merlin_popsampler(\.tf\b| import.* PopularityBasedSampler)", code):
        pytest.importorskip("tensorflow")
    exec(compile(code, name, "exec"), {})


def test_the_reference_has_every_public_name():
    documented = re.findall(r"^::: merlin_popsampler\.(\w+)$", TEXTS["docs/api.md"], re.MULTILINE)
    assert sorted(documented) == sorted([*merlin_popsampler.__all__, "distributions"])


def test_the_demo_has_one_table():
    (table,) = re.findall(r"```text\n( +recall@20.*?)```", TEXTS["README.md"], re.DOTALL)
    assert table in TEXTS["docs/figures.md"]


def test_the_messages_of_the_symptoms_are_raised():
    prose = re.sub(r"`[^`]*`", "", TEXTS["docs/troubleshooting.md"])
    foreign = {"returned no samples for this batch", "element 0 of tensors does not require grad"}
    quoted = set(re.findall(r'"([^"]+)"', prose)) - foreign
    raised = "\n".join(text for texts in modules_with_messages().values() for text in texts)
    assert len(quoted) == 10
    assert [quote for quote in quoted if re.sub(r"\d+", "{}", quote) not in raised] == []


def test_each_finding_has_a_line():
    scripts = {path.name for path in (ROOT / "findings").glob("*.sh")}
    table = (ROOT / "findings/README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| \[\w+\]\((\w+\.sh)\)", table, re.MULTILINE)
    assert sorted(listed) == sorted(scripts)


def test_examples_in_docstrings_are_shown_as_code():
    """The site generator recognizes only the section name `Examples:`."""
    sources = PACKAGE.rglob("*.py")
    others = [s for s in sources if re.search(r"^ *Example:$", s.read_text("utf-8"), re.MULTILINE)]
    assert others == []
