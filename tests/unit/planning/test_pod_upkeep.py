"""Probing, names, image clean-up and log rotation."""

import pytest

from boxfleet.api import address, meta
from boxfleet.api import pod as pods
from boxfleet.planning import image_cleanup, log_rotation, probing, records
from boxfleet.ports import network, runtime


def tally(*results: bool, probe: pods.Probe) -> probing.Tally:
    found = probing.Tally()
    for result in results:
        found = probing.judge(found, probe, success=result)
    return found


def test_thresholds_turn_results_into_verdicts() -> None:
    probe = pods.Probe(successThreshold=2, failureThreshold=3)
    assert tally(True, probe=probe).passed is None
    assert tally(True, True, probe=probe).passed is True
    assert tally(True, True, False, False, probe=probe).passed is True
    assert tally(True, True, False, False, False, probe=probe).passed is False
    assert tally(True, True, False, False, True, False, probe=probe).passed is True


def test_an_eager_failure_does_not_count() -> None:
    probe = pods.Probe(failureThreshold=1)
    assert probing.judge(probing.Tally(), probe, success=False, counted=False).passed is None


def test_a_starting_program_is_looked_at_often_and_a_started_one_by_its_period() -> None:
    probe = pods.Probe(periodSeconds=10)
    new = probing.Tally()
    assert probing.pause(probe, kind="readiness", tally=new, age=0, took=0) == probing.EAGER_FIRST
    assert probing.pause(probe, kind="readiness", tally=new, age=1, took=0.4) == 0.4
    assert probing.pause(probe, kind="startup", tally=new, age=10, took=0) == pytest.approx(1.5)
    assert probing.pause(probe, kind="readiness", tally=new, age=1000, took=0) == 10
    assert probing.pause(probe, kind="liveness", tally=new, age=0, took=0) == 10
    assert probing.pause(probe, kind="readiness", tally=probing.Tally(passed=True), age=0, took=0) == 10


def test_ports_by_name() -> None:
    container = pods.Container(name="c", ports=[pods.ContainerPort(containerPort=80, name="web")])
    assert probing.port(container, "web") == 80
    assert probing.port(container, 8080) == 8080
    with pytest.raises(ValueError, match="no port named 'db'"):
        probing.port(container, "db")


def held(ip: str, *, ready: bool) -> address.Address:
    spec = address.AddressSpec(
        pool="p", namespace="n", instance=f"b-u-{ip[-1]}", domain=f"b-u-{ip[-1]}.u.b.n.fleet.internal",
        unitDomain="u.b.n.fleet.internal",
    )  # fmt: skip
    return address.Address(metadata=meta.ObjectMeta(name=ip), spec=spec, status=address.AddressStatus(ready=ready))


def test_an_instance_always_has_its_name_and_a_unit_those_of_ready_members() -> None:
    both = [held("10.0.0.1", ready=True), held("10.0.0.2", ready=False)]
    assert records.of(both, suffix="fleet.internal") == {
        network.Record("b-u-1.u.b.n.fleet.internal", "10.0.0.1"),
        network.Record("b-u-2.u.b.n.fleet.internal", "10.0.0.2"),
        network.Record("u.b.n.fleet.internal", "10.0.0.1"),
    }


def test_names_outside_of_the_fleet_are_nobodys() -> None:
    for domain in ("www.example.com", "fleet.internal", "notfleet.internal", "fleet.internal.example.com"):
        spec = address.AddressSpec(pool="p", namespace="n", instance="i", domain=domain, unitDomain=domain)
        status = address.AddressStatus(ready=True)
        held = address.Address(metadata=meta.ObjectMeta(name="10.0.0.1"), spec=spec, status=status)
        assert not records.of([held], suffix="fleet.internal"), domain


POLICY = image_cleanup.Policy(high=85, low=80, min_age=100, max_age=1000, keep_prefix="boxfleet.local/")


def removed(images: list[runtime.Image], *, percent: int, last_used: dict[str, float], needed: str = "") -> list[str]:
    decision = image_cleanup.decide(
        images, needed=frozenset({needed}), last_used=last_used, now=2000,
        disk=image_cleanup.Disk(images=0, size=1000, percent=percent), policy=POLICY,
    )  # fmt: skip
    return [image.id for image in decision.remove]


def test_images_go_oldest_first_until_there_is_room_and_never_a_needed_one() -> None:
    images = [runtime.Image(id=name, tags=[f"x/{name}:1"], size=60) for name in "abcd"]
    images.append(runtime.Image(id="own", tags=["boxfleet.local/own:1"], size=60))
    images.append(runtime.Image(id="pin", size=60, pinned=True))
    ages = {"a": 1500.0, "b": 1200.0, "c": 1950.0, "d": 1100.0, "own": 0.0, "pin": 0.0}
    assert removed(images, percent=84, last_used=ages) == []
    assert removed(images, percent=88, last_used=ages) == ["d", "b"]
    assert removed(images, percent=99, last_used=ages, needed="x/d:1") == ["b", "a"]
    assert removed(images, percent=10, last_used=ages | {"b": 900.0}) == ["b"]


def test_an_unknown_image_counts_as_used_now() -> None:
    assert removed([runtime.Image(id="a", size=60)], percent=99, last_used={}) == []


def test_full_logs_move_aside() -> None:
    assert log_rotation.moves("0.log", ["0.log"], keep=3) == log_rotation.Moves(
        remove=[], rename=[("0.log", "0.log.1")]
    )
    siblings = ["0.log", "0.log.1", "0.log.2", "0.log.7", "1.log.1", "0.log.x"]
    assert log_rotation.moves("0.log", siblings, keep=3) == log_rotation.Moves(
        remove=["0.log.2", "0.log.7"], rename=[("0.log.1", "0.log.2"), ("0.log", "0.log.1")]
    )
