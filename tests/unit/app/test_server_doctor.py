"""What the doctor says of a server that was started here."""

import datetime
import os
import pathlib

import pytest

from boxfleet.app import doctor, locks, paths, pki, server_doctor, settings
from boxfleet.testing import views


def present() -> datetime.datetime:
    """Not that of the collection of tests, which may be long ago."""
    return datetime.datetime.now(datetime.UTC)


@pytest.fixture
def known(tmp_path: pathlib.Path) -> settings.All:
    made = settings.All(state=str(tmp_path / "state"), run=str(tmp_path / "run"), port=1)
    where = paths.of(made)
    where.pki.mkdir(parents=True)
    pki.ensure(where.pki, names=["127.0.0.1"], now=present())
    where.store.parent.mkdir()
    where.store.write_bytes(b"x" * 2**20)
    return made


def test_nothing_is_said_where_no_server_ran(tmp_path: pathlib.Path) -> None:
    assert server_doctor.examine(settings.All(state=str(tmp_path)), now=present()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="the doctor looks into root's folders")
def test_a_good_server(known: settings.All) -> None:
    found = {each.name: each for each in server_doctor.examine(known, now=present())}
    assert {each.grade for each in found.values()} == {doctor.Grade.GOOD}
    assert found["certificate"].detail == "364 days left"
    assert found["store"].detail.startswith("1.0 MiB in ")
    assert found["audit"].detail == "nothing is recorded yet"
    assert "not running" in found["server"].detail


def test_a_certificate_near_its_end(known: settings.All) -> None:
    where = paths.of(known)
    soon = server_doctor.check_certificate(where, now=present() + datetime.timedelta(days=350))
    assert (soon.grade, soon.detail) == (doctor.Grade.POOR, "14 days left")
    late = server_doctor.check_certificate(where, now=present() + datetime.timedelta(days=370))
    assert late.grade is doctor.Grade.BAD
    where.server_certificate.write_text("rubbish")
    assert server_doctor.check_certificate(where, now=present()).grade is doctor.Grade.BAD


def test_a_clock_that_went_back(known: settings.All) -> None:
    found = server_doctor.check_clock(paths.of(known), now=present() - datetime.timedelta(days=3))
    assert found.grade is doctor.Grade.POOR
    assert "chrony" in found.remedy


def test_a_server_that_runs_and_does_not_answer(known: settings.All) -> None:
    where = paths.of(known)
    handle = locks.take(where.server_lock)
    try:
        where.credentials.mkdir()
        [found] = server_doctor.check_answers(known)
    finally:
        os.close(handle)
    assert found.grade is doctor.Grade.BAD
    assert "does not answer" in found.detail


def test_a_host_that_is_not_well() -> None:
    assert server_doctor.check_host(views.a_node(views.condition("True"))) == []
    off = views.a_node(views.condition("True"), views.condition("True", "ClockIsOff", "20 s", type="ClockProblem"))
    (found,) = server_doctor.check_host(off)
    assert (found.grade, found.detail) == (doctor.Grade.POOR, "ClockProblem is True: 20 s")
    assert "set-ntp" in found.remedy


def test_what_was_recorded(known: settings.All) -> None:
    where = paths.of(known)
    (where.audit / "sessions").mkdir(parents=True)
    (where.audit / "one.jsonl").write_bytes(b"x" * 2**20)
    (where.audit / ".one.reserve").write_bytes(b"x" * 2**20)
    assert server_doctor.check_audit(where).detail == f"1.0 MiB in {where.audit}"
