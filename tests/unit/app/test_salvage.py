"""Settings of a Boxfleet that is to be stopped, whatever their file holds."""

import dataclasses
import datetime
import pathlib
import tempfile
from collections.abc import Iterator

import pytest

from boxfleet.app import bootstrap, found, paths, salvage, settings

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture
def known() -> Iterator[settings.All]:
    with tempfile.TemporaryDirectory(prefix="bf-salvage-", dir="/tmp") as home:
        made = settings.All(
            state=f"{home}/state",
            run=f"{home}/run folder",
            node="one",
            bridge="other0",
            cgroup_parent="/other",
            port=7999,
        )
        bootstrap.prepare(made, now=NOW)
        yield made


def load(known: settings.All, **environ: str) -> tuple[settings.All, list[str]]:
    return salvage.load(flags={"state": known.state, "run": None}, environ=environ)


def test_a_good_file_counts_as_it_is(known: settings.All) -> None:
    assert load(known) == (known, [])


@pytest.mark.parametrize("text", ["port: [", "[1]", "\x00\x01", ": : :"])
def test_without_a_readable_file_fixed_facts_and_services_tell(known: settings.All, text: str) -> None:
    path = pathlib.Path(known.state) / settings.FILE
    path.write_text(text)
    seen, (words,) = load(known)
    assert str(path) in words
    # The port alone was nowhere else.
    assert seen == dataclasses.replace(known, port=settings.All().port)


def test_bytes_that_are_no_text_are_ignored_as_well(known: settings.All) -> None:
    (pathlib.Path(known.state) / settings.FILE).write_bytes(b"port: \xff\xfe")
    seen, ignored = load(known)
    assert (seen.bridge, len(ignored)) == ("other0", 1)


def test_what_can_be_used_of_a_wrong_file_counts(known: settings.All) -> None:
    path = pathlib.Path(known.state) / settings.FILE
    path.write_text(path.read_text().replace("7999", "7998") + "prot: 1\nlisten: 127.0.0.2\nlog_level: loud\n")
    seen, ignored = load(known)
    assert seen == dataclasses.replace(known, port=7998, listen="127.0.0.2")
    assert [name in words for name, words in zip(("prot", "log_level"), ignored, strict=True)] == [True, True]


def test_with_nothing_else_there_are_the_defaults(tmp_path: pathlib.Path) -> None:
    (tmp_path / settings.FILE).write_text("a: [")
    (tmp_path / "fixed.yaml").write_text("b: [")
    seen, ignored = salvage.load(flags={"state": str(tmp_path)}, environ={})
    assert (seen.run, seen.bridge, len(ignored)) == ("/run/boxfleet", "boxfleet0", 1)


@pytest.mark.parametrize("text", ["", "a: [", "[1]", "link: 1"])
def test_a_broken_note_of_what_was_found_is_none(known: settings.All, text: str) -> None:
    where = paths.of(known)
    assert found.load(where) is not None
    where.found.write_text(text)
    assert found.load(where) is None


def test_a_wrong_flag_or_variable_is_still_an_error(known: settings.All) -> None:
    (pathlib.Path(known.state) / settings.FILE).write_text("a: [")
    with pytest.raises(settings.SettingsError, match="the environment: port"):
        load(known, BOXFLEET_PORT="many")
    with pytest.raises(settings.SettingsError, match="flags: run"):
        salvage.load(flags={"state": known.state, "run": "/" + "r" * 61}, environ={})
