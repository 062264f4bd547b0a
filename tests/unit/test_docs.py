"""The documentation says what is there: links, pictures, generated pages, commands, files and examples."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from experiments.cli.main import app
from experiments.cli.reference_pages import FOLDER, PAGES
from experiments.protocol.study import Study

ROOT = Path(__file__).resolve().parents[2]
PAGES_OF_PEOPLE = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
PICTURES = sorted((ROOT / "docs" / "pictures").glob("*"))
PICTURE_BYTES_MAX = 300_000
FILM_BYTES_MAX = 3_000_000
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(?:^|[`\s])(?:\./)?phantomrig ([a-z][a-z ]*[a-z])\b")
SOURCE = re.compile(r"`((?:hal|rig|experiments|analysis|tests|docs)/[\w./-]+\.\w+)`")
FORBIDDEN = re.compile(r"/work(?![\w-])|/tmp\b|/root\b|/home/|pypi\.org|pythonhosted|artifactory|localhost:\d")
EXAMPLES = ("acme", "yours")
"""Names of devices that exist only in examples."""


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """Anchors of the headings, as GitHub makes them."""
    found = set()
    for line in FENCE.sub("", page.read_text()).splitlines():
        if line.startswith("#"):
            words = re.sub(r"[`*]", "", line.lstrip("#").strip()).lower()
            found.add(re.sub(r"[^\w\- ]", "", words).replace(" ", "-"))
    return found


def command(words: list[str]) -> Any:
    """The command that the words name, and None when there is none."""
    found: Any = get_command(app)
    for word in words:
        inner = getattr(found, "commands", None)
        if inner is None:
            return found
        if word not in inner:
            return None
        found = inner[word]
    return found


def shell_lines(page: Path) -> list[str]:
    text = [body for kind, body in FENCE.findall(page.read_text()) if kind == "sh"]
    return [line.split("#")[0].strip() for body in text for line in body.splitlines() if "phantomrig " in line]


@pytest.mark.parametrize("page", PAGES_OF_PEOPLE, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for target in LINK.findall(page.read_text()):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_up_to_date(name: str) -> None:
    assert (FOLDER / name).read_text() == PAGES[name](), "write it again: python -m experiments.cli.reference_pages"


@pytest.mark.parametrize("page", PAGES_OF_PEOPLE, ids=name_of)
def test_every_command_that_is_named_exists(page: Path) -> None:
    names = {words.split()[0] for words in COMMAND.findall("\n".join(re.findall(r"`[^`\n]+`", page.read_text())))}
    assert {name for name in names if command([name]) is None} == set()


@pytest.mark.parametrize("page", PAGES_OF_PEOPLE, ids=name_of)
def test_every_shell_line_uses_commands_and_options_that_exist(page: Path) -> None:
    for line in shell_lines(page):
        words = line.split("phantomrig ", 1)[1].split()
        named = [word for word in words if re.fullmatch(r"[a-z]+", word)]
        found = command(named)
        if words[0].startswith("--") or "<" in line:
            found = command([])
        assert found is not None, line
        if found.name == "test":
            continue
        known = {option for item in found.params for option in (*item.opts, *item.secondary_opts)}
        used = {word.split("=")[0] for word in words if word.startswith("--")}
        assert used <= known, line


@pytest.mark.parametrize("page", PAGES_OF_PEOPLE, ids=name_of)
def test_every_source_file_that_is_named_exists(page: Path) -> None:
    named = {path for path in SOURCE.findall(page.read_text()) if not any(word in path for word in EXAMPLES)}
    assert {path for path in named if not (ROOT / path).exists()} == set()


@pytest.mark.parametrize("page", PAGES_OF_PEOPLE, ids=name_of)
def test_no_page_names_a_machine_or_a_registry(page: Path) -> None:
    assert FORBIDDEN.findall(page.read_text()) == []


@pytest.mark.parametrize("page", PAGES_OF_PEOPLE, ids=name_of)
def test_examples_in_toml_and_python_can_be_read(page: Path) -> None:
    for kind, body in FENCE.findall(page.read_text()):
        if kind == "toml":
            tomllib.loads(body)
        if kind == "python" and "DriverEntry(" not in body:
            compile(body, name_of(page), "exec")


def test_the_example_of_a_study_is_a_study() -> None:
    page = (ROOT / "docs" / "how-to" / "own-study.md").read_text()
    (body,) = [body for kind, body in FENCE.findall(page) if kind == "toml"]
    study = Study.model_validate(tomllib.loads(body))
    assert study.criteria[0].metric == "tte_mm"


@pytest.mark.parametrize("picture", PICTURES, ids=name_of)
def test_a_picture_is_small_and_shown_somewhere(picture: Path) -> None:
    assert picture.stat().st_size <= (FILM_BYTES_MAX if picture.suffix == ".gif" else PICTURE_BYTES_MAX)
    assert any(picture.name in page.read_text() for page in PAGES_OF_PEOPLE)


def test_the_first_screen_of_the_readme_holds_picture_and_commands() -> None:
    first = "\n".join((ROOT / "README.md").read_text().splitlines()[:30])
    for needed in ("docs/pictures/one_trial.gif", "./phantomrig run lumbar", "./phantomrig test"):
        assert needed in first


def test_a_broken_example_would_be_seen() -> None:
    """The checks above can fail."""
    assert command(["fly"]) is None
    assert command(["phantom", "show"]).name == "show"
    assert FORBIDDEN.search("see /tmp/x") and COMMAND.findall("`phantomrig fly`") == ["fly"]
