"""What the pages say is there: links, commands, options, settings, and files that the API would take."""

import pathlib
import re
import shlex

import pytest
import typer.main
import yaml
from tests.docs import pages

from boxfleet.api import audit, catalog, recipe
from boxfleet.apiserver import schema
from boxfleet.apiserver.audit import policy
from boxfleet.apiserver.custom import definition
from boxfleet.app import settings
from boxfleet.cli import commands

PAGES = pages.every()
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_CODE = re.compile(r"`([^`\n]+)`")
TYPES = (*catalog.TYPES, definition.CustomResourceDefinition)
SCHEMAS = schema.Schemas(TYPES)
ROOT = typer.main.get_command(commands.app)


def name_of(page: pathlib.Path) -> str:
    return str(page.relative_to(pages.REPOSITORY))


def anchors(text: str) -> set[str]:
    """The anchors of headings, as the usual viewers make them."""
    return {re.sub(r"[^\w\- ]", "", found.lower()).replace(" ", "-") for found in _HEADING.findall(text)}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: pathlib.Path) -> None:
    broken = []
    for link in _LINK.findall(page.read_text()):
        if link.startswith(("https:", "http:")):
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            broken.append(link)
    assert broken == []


def mentioned(text: str) -> set[str]:
    """Every call of the boxfleet command on a page, in blocks and in running text."""
    lines = []
    for block in pages.blocks(text):
        body = block.body.splitlines()
        lines += [line[2:] for line in body if line.startswith("$ ")] if block.language == "console" else body
    lines += [line for line in text.splitlines() if line.startswith("    ")]
    lines += _CODE.findall(text)
    found = set()
    for line in lines:
        words = line.strip().split("#")[0].strip()
        if re.match(r"(boxfleet|\./run (up|down)) ", words):
            found.add(words.replace("./run", "boxfleet"))
    return found


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_and_options_are_there(page: pathlib.Path) -> None:
    for call in sorted(mentioned(page.read_text())):
        words = shlex.split(re.split(r"[|;&]", call)[0])[1:]
        if words[0] == "agent" or words == ["server"]:
            continue
        command = ROOT
        while words and hasattr(command, "commands") and not words[0].startswith("-"):
            assert words[0] in command.commands, f"{name_of(page)}: {call}"
            command = command.commands[words.pop(0)]
        known = {option for each in command.params for option in [*each.opts, *each.secondary_opts]}
        # A dash alone is no option: it stands for what is piped.
        assert {word.split("=")[0] for word in words if word.startswith("-") and word != "-"} <= known, (
            f"{name_of(page)}: {call}"
        )


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_environment_variables_are_settings(page: pathlib.Path) -> None:
    # What begins with IPC is told to instances.
    named = {found.lower() for found in re.findall(r"\bBOXFLEET_(?!IPC_)([A-Z_]+)\b", page.read_text())}
    assert named <= set(settings.TYPES)


def documents() -> list[object]:
    """Every object in a block of YAML, or written by a shell block, of any page."""
    found = []
    for page in PAGES:
        for block in pages.blocks(page.read_text()):
            texts = (
                [block.body]
                if block.language == "yaml"
                else re.findall(r"<<'END'\n(.*?)^END$", block.body, re.M | re.S)
            )
            found += [
                pytest.param(document, id=f"{name_of(page)}:{block.line}")
                for text in texts
                for document in yaml.safe_load_all(text)
                if "apiVersion" in document
            ]
    return found


@pytest.mark.parametrize("document", documents())
def test_objects_on_pages_are_valid(document: dict[str, object]) -> None:
    if document["kind"] == recipe.KIND:
        recipe.decode(document)
        return
    if document["apiVersion"] == audit.API_VERSION:
        policy.parse(document)
        return
    kind = next(each.KIND for each in TYPES if each.KIND.kind == document["kind"])
    kind.default(document)
    checked = SCHEMAS.check(kind, document)
    assert (checked.errors, checked.unknown) == ([], [])
    assert kind.validate(document, None) == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_are_closed(page: pathlib.Path) -> None:
    assert len(re.findall(r"^```", page.read_text(), re.MULTILINE)) == 2 * len(pages.blocks(page.read_text()))


def test_the_readme_shows_the_two_commands_and_every_page_of_docs() -> None:
    text = (pages.REPOSITORY / "README.md").read_text()
    assert "./run up" in text and "./run test" in text
    missing = [each.name for each in (pages.REPOSITORY / "docs").glob("*.md") if f"docs/{each.name}" not in text]
    assert set(missing) <= {"plan.md", "benchmarks.md"}


def test_reasons_in_troubleshooting_are_said_somewhere() -> None:
    rows = re.findall(r"^\| (`.+?) \|", (pages.REPOSITORY / "docs/troubleshooting.md").read_text(), re.MULTILINE)
    reasons = {found.split()[0] for row in rows for found in re.findall(r"`(\w[\w ]*)`", row)}
    source = "".join(path.read_text() for path in (pages.REPOSITORY / "src/boxfleet").rglob("*.py"))
    assert len(reasons) > 10
    assert {each for each in reasons if f'"{each}"' not in source} == set()
