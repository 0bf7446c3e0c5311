"""Settings: where they come from, what is refused, and that the docs name them all."""

import dataclasses
import pathlib

import msgspec
import pytest

from boxfleet.app import settings

DOCS = pathlib.Path(__file__).parents[3] / "docs" / "settings.md"


def load(tmp_path: pathlib.Path, **environ: str) -> settings.All:
    return settings.load(settings.All, flags={"state": str(tmp_path)}, environ=environ)


def test_later_sources_win(tmp_path: pathlib.Path) -> None:
    (tmp_path / settings.FILE).write_text("port: 7000\nnode: from-file\nbridge: file0\n")
    environ = {"BOXFLEET_PORT": "7001", "BOXFLEET_BRIDGE": "env0"}
    flags = {"state": str(tmp_path), "bridge": "flag0", "cidr": None}
    known = settings.load(settings.All, flags=flags, environ=environ)
    assert (known.node, known.port, known.bridge, known.cidr) == ("from-file", 7001, "flag0", "10.88.0.0/16")


def test_what_up_saves_is_what_services_read(tmp_path: pathlib.Path) -> None:
    known = settings.load(
        settings.All,
        flags={"state": str(tmp_path), "run": "/tmp/bf-x", "port": 7999, "names": "one.example,10.0.0.1"},
        environ={},
    )
    settings.save(known)
    assert load(tmp_path) == known
    server = settings.load(settings.Server, flags={"state": str(tmp_path)}, environ={})
    assert (server.port, server.names, server.run) == (7999, ("one.example", "10.0.0.1"), "/tmp/bf-x")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prot: 1", "no setting 'prot'"),
        ("port: many", "port = 'many' does not fit"),
        ("port: 70000", "port = 70000 does not fit"),
        ("bridge: a-name-that-is-too-long", "bridge"),
        ("[1]", "not a list"),
        ("a: [", "cannot read"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: pathlib.Path, text: str, words: str) -> None:
    (tmp_path / settings.FILE).write_text(text)
    with pytest.raises(settings.SettingsError, match=words):
        load(tmp_path)


def test_folders_are_named_in_full_since_services_run_elsewhere(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/tmp")
    known = load(tmp_path, BOXFLEET_RUN="run", BOXFLEET_IMAGE_CACHE="cache")
    assert (known.run, known.image_cache) == ("/tmp/run", "/tmp/cache")


def test_strange_variables_of_the_environment_are_left_alone(tmp_path: pathlib.Path) -> None:
    assert load(tmp_path, BOXFLEET_COLOUR="red").port == 7443


def test_every_setting_has_unit_and_reason_and_is_in_the_docs() -> None:
    rows = {line.split("`")[1]: line for line in DOCS.read_text().splitlines() if line.startswith("| `")}
    assert set(rows) == {field.name for field in dataclasses.fields(settings.All)}
    defaults = dataclasses.asdict(settings.All())
    for name, kind in settings.TYPES.items():
        meta = next(part for part in kind.__metadata__ if isinstance(part, msgspec.Meta))
        assert meta.description and meta.extra, name
        assert meta.extra["unit"] in rows[name], name
        if name != "node" and defaults[name]:
            assert f"`{defaults[name]}`" in rows[name], name
