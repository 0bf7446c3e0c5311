"""What the first start fixes, and what can change."""

import dataclasses
import datetime
import os
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography import x509

from boxfleet.app import bootstrap, doctor, fixed, lifecycle, locks, paths, settings

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture
def known() -> Iterator[settings.All]:
    with tempfile.TemporaryDirectory(prefix="bf-fixed-", dir="/tmp") as home:
        made = settings.All(state=f"{home}/state", run=f"{home}/run", node="one")
        assert fixed.faults(made) == []
        bootstrap.prepare(made, now=NOW)
        yield made


OTHERS: list[tuple[str, Any]] = [
    ("node", "two"),
    ("domain", "other.internal"),
    ("cidr", "10.99.0.0/16"),
    ("bridge", "other0"),
    ("cgroup_parent", "/other"),
    ("store", "postgresql://db/fleet"),
]


def test_every_fixed_setting_is_tried_here() -> None:
    assert {name for name, _ in OTHERS} == set(fixed.REMEDIES)


@pytest.mark.parametrize(("name", "value"), OTHERS)
def test_what_is_fixed_is_refused_with_what_is_set_and_what_was_asked(
    known: settings.All, name: str, value: Any
) -> None:
    other = dataclasses.replace(known, **{name: value})
    for _ in range(2):
        (fault,) = fixed.faults(other)
        now = getattr(known, name) or "in the state folder"
        assert fault.startswith(f"{name} is {now} since the first start and cannot become {value}\n")
        assert "boxfleet down --purge" in fault
        # Also when it is the settings' file that somebody changed.
        settings.save(other)
    with pytest.raises(lifecycle.LifecycleError, match=f"{name} is "):
        lifecycle.start(other, say=lambda _: None)
    assert fixed.faults(known) == []


def test_a_state_folder_of_before_has_them_in_its_settings(known: settings.All) -> None:
    paths.of(known).fixed.unlink()
    (fault,) = fixed.faults(dataclasses.replace(known, cidr="10.99.0.0/16"))
    assert "cidr is 10.88.0.0/16" in fault
    assert fixed.faults(known) == []
    bootstrap.prepare(known, now=NOW)
    assert paths.of(known).fixed.exists()


def test_listen_port_and_names_change_with_certificate_and_kubeconfig(known: settings.All) -> None:
    other = dataclasses.replace(known, listen="192.0.2.7", port=7999, names=("fleet.example",))
    assert fixed.faults(other) == []
    again = bootstrap.prepare(other, now=NOW)
    assert again.changed == {"server", "agent"}
    assert not again.admin_token
    where = paths.of(other)
    names = bootstrap.pki.names_of(x509.load_pem_x509_certificate(where.server_certificate.read_bytes()))
    assert {"192.0.2.7", "fleet.example"} <= names
    assert "server: https://192.0.2.7:7999" in where.admin_kubeconfig.read_text()
    assert bootstrap.prepare(other, now=NOW).changed == set()


def test_a_new_port_must_be_free_also_while_the_server_runs(known: settings.All) -> None:
    class Taken(doctor.Machine):
        def can_listen(self, address: str, port: int) -> str:
            return "Address already in use" if port else ""

    handle = locks.take(paths.of(known).server_lock)
    try:
        (ours,) = doctor.check_ports(Taken(known))
        (wider,) = doctor.check_ports(Taken(dataclasses.replace(known, listen="0.0.0.0")))
        others = [{"port": 7999}, {"listen": "127.0.0.2"}]
        theirs = [doctor.check_ports(Taken(dataclasses.replace(known, **other)))[0] for other in others]
    finally:
        os.close(handle)
    assert ours.grade is wider.grade is doctor.Grade.GOOD
    assert [each.grade for each in theirs] == [doctor.Grade.BAD, doctor.Grade.BAD]


@pytest.mark.parametrize("wrong", [{"listen": "203.0.113.77"}, {"names": ("two words",)}])
def test_what_can_never_work_is_refused_before_it_is_saved(known: settings.All, wrong: dict[str, Any]) -> None:
    before = (paths.of(known).state / settings.FILE).read_text()
    with pytest.raises(lifecycle.LifecycleError, match=next(iter(wrong))):
        lifecycle.start(dataclasses.replace(known, **wrong), say=lambda _: None)
    assert (paths.of(known).state / settings.FILE).read_text() == before
