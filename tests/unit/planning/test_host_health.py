"""When a host counts as bad, and that nothing flaps."""

import pytest

from boxfleet.api import labels, meta, node
from boxfleet.planning import host_health, node_health

LIMITS = host_health.Limits(memory=4, disk=10, hold=60.0)
NOW = "2026-01-01T00:00:00Z"


def bad(**found: object) -> dict[str, str]:
    """What is bad, with its reason."""
    findings = host_health.findings(host_health.Reading(**found), LIMITS)  # type: ignore[arg-type]
    return {kind: each.reason for kind, each in findings.items() if each.bad}


@pytest.mark.parametrize(
    ("found", "kind", "reason"),
    [
        ({"memory_free": 3}, "MemoryPressure", "NodeHasInsufficientMemory"),
        ({"memory_stall": 40.0}, "MemoryPressure", "MemoryThrashes"),
        ({"disk_free": 9}, "DiskPressure", "NodeHasInsufficientDisk"),
        ({"inodes_free": 4}, "DiskPressure", "NodeHasInsufficientInodes"),
        ({"pids_free": 4}, "PIDPressure", "NodeHasInsufficientPID"),
        ({"cpu_stall": 95.0}, "CPUPressure", "ProcessorsAreBusy"),
        ({"io_stall": 80.0}, "IOPressure", "DisksAreBusy"),
        ({"disk_errors": {"sda": 2}}, "DiskProblem", "DiskErrors"),
        ({"read_only": ("/",)}, "ReadOnlyProblem", "DiskIsReadOnly"),
        ({"clock_off": -12.0}, "ClockProblem", "ClockIsOff"),
        ({"clock_off": 11.0}, "ClockProblem", "ClockIsOff"),
        ({"runtime_silent": "it hangs"}, "RuntimeProblem", "RuntimeSilent"),
        ({"runtime_restarts": 5}, "RuntimeProblem", "RuntimeRestarts"),
        ({"script_faults": ("a: line 1: no",)}, "FactsProblem", "ScriptsAtFault"),
    ],
)
def test_what_is_bad_has_its_condition_and_no_other(found: dict[str, object], kind: str, reason: str) -> None:
    assert bad(**found) == {kind: reason}


def test_what_is_near_is_not_bad_yet() -> None:
    assert bad() == {}
    assert bad(memory_free=4, disk_free=10, inodes_free=5, pids_free=5, clock_off=9.0, runtime_restarts=4) == {}
    assert bad(cpu_stall=89.0, memory_stall=39.0, io_stall=79.0) == {}


def test_a_floor_of_nothing_never_presses() -> None:
    never = host_health.Limits(memory=0, disk=0, hold=60.0)
    findings = host_health.findings(host_health.Reading(memory_free=0, disk_free=0), never)
    assert not any(each.bad for each in findings.values())


def test_a_condition_goes_only_when_all_is_well_for_a_while() -> None:
    latch = host_health.Latch()

    def disk(free: int, moment: float) -> node.NodeCondition:
        findings = host_health.findings(host_health.Reading(disk_free=free), LIMITS)
        said = latch.conditions(findings, hold=60.0, moment=moment, now=NOW)
        (found,) = (each for each in said if each.type == "DiskPressure")
        return found

    # Near is nothing before it was bad, and not over afterwards.
    assert (disk(12, 0.0).status, disk(9, 10.0).status, disk(12, 20.0).status) == ("False", "True", "True")
    assert disk(12, 500.0).status == "True"
    assert disk(50, 510.0).status == "True"
    assert disk(50, 559.0).reason == "NodeHasInsufficientDisk"
    assert disk(50, 560.0).status == "False"
    assert disk(12, 570.0).reason == "NodeHasSufficientDisk"


def test_every_type_has_words_while_it_is_well() -> None:
    found = host_health.findings(host_health.Reading(), LIMITS)
    said = host_health.Latch().conditions(found, hold=1.0, moment=0.0, now=NOW)
    assert all(each.reason and each.status == "False" for each in said)
    assert len({each.type for each in said}) == len(said) == 10


@pytest.mark.parametrize(
    ("kind", "taint"),
    [
        ("MemoryPressure", labels.TAINT_MEMORY),
        ("DiskPressure", labels.TAINT_DISK),
        ("PIDPressure", labels.TAINT_PIDS),
        ("IOPressure", labels.TAINT_UNHEALTHY),
        ("DiskProblem", labels.TAINT_UNHEALTHY),
        ("ReadOnlyProblem", labels.TAINT_UNHEALTHY),
        ("ClockProblem", labels.TAINT_UNHEALTHY),
        ("RuntimeProblem", labels.TAINT_UNHEALTHY),
        ("CPUPressure", ""),
        ("FactsProblem", ""),
    ],
)
def test_a_host_that_is_not_well_gets_no_more_instances(kind: str, taint: str) -> None:
    def host(status: str, taints: list[node.Taint]) -> node.Node:
        said = [node.NodeCondition(type="Ready", status="True"), node.NodeCondition(type=kind, status=status)]
        return node.Node(
            metadata=meta.ObjectMeta(name="h"),
            spec=node.NodeSpec(taints=taints),
            status=node.NodeStatus(conditions=said),
        )

    own = node.Taint(key="gpu", effect="NoSchedule")
    given = node_health.wanted_taints(host("True", [own]), lost=False, now=NOW)
    assert [(each.key, each.effect) for each in given] == [("gpu", "NoSchedule")] + (
        [(taint, "NoSchedule")] if taint else []
    )
    assert node_health.wanted_taints(host("False", given), lost=False, now=NOW) == [own]
