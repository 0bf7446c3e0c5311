"""Where a cgroup lies, by its path and by its slice."""

import pathlib

import pytest

from boxfleet.kit import cgroup


@pytest.mark.parametrize(
    ("path", "places"),
    [
        ("/boxfleet", ["boxfleet", "boxfleet.slice"]),
        ("/boxfleet-2", ["boxfleet-2", r"boxfleet\x2d2.slice"]),
        ("/fleets/one", ["fleets/one", "fleets.slice/fleets-one.slice"]),
        ("fleets-one.slice", ["fleets-one.slice", "fleets.slice/fleets-one.slice"]),
        ("/", []),
    ],
)
def test_places(path: str, places: list[str]) -> None:
    assert cgroup.places(path) == places


def test_systemd_is_asked_only_for_cgroups_of_version_2(tmp_path: pathlib.Path) -> None:
    assert not cgroup.is_systemds(tmp_path, booted=tmp_path)
    (tmp_path / "cgroup.controllers").touch()
    assert cgroup.is_systemds(tmp_path, booted=tmp_path)
    assert not cgroup.is_systemds(tmp_path, booted=tmp_path / "no")
