"""The supervised processes run with what `up` wrote down."""

import pathlib

import pytest

from boxfleet.app import services, settings


def test_the_environment_of_an_earlier_up_does_not_count(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / settings.FILE).write_text("port: 7001\n")
    monkeypatch.setenv("BOXFLEET_PORT", "7002")
    ran: list[int] = []

    for name in ("server", "agent", "renew"):
        monkeypatch.setattr(services, "_" + name, lambda known: ran.append(known.port) or 0)
        assert services.main([name, "--state", str(tmp_path)]) == 0
    assert ran == [7001, 7001, 7001]
