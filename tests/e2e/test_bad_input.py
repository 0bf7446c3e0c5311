"""What is wrong is said with field, reason and remedy, and changes nothing."""

import ipaddress
import json

import pytest

from boxfleet.testing import fleet as fleets

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


def box(units: str, *, name: str = "bad") -> str:
    return f"apiVersion: boxfleet.dev/v1\nkind: Box\nmetadata: {{name: {name}}}\nspec:\n  units: {units}\n"


def unit(
    extra: str = "", *, container: str = "name: main, image: boxfleet.local/busybox:1, command: [sleep, '1000']"
) -> str:
    return f"{{{extra}template: {{spec: {{terminationGracePeriodSeconds: 0, containers: [{{{container}}}]}}}}}}"


REFUSED = {
    "cycle": (
        f"{{a: {unit('dependsOn: [{unit: b}], ')}, b: {unit('dependsOn: [{unit: a}], ')}}}",
        ["a -> b -> a"],
    ),
    "unknown unit in a template": (
        f"{{a: {unit('env: {X: [[ units.dbb.domain ]]}, ')}, db: {unit()}}}".replace("[[", "'{{").replace("]]", "}}'"),
        ["spec.units[a].env", "dbb", "db"],
    ),
    "wrong type": (f"{{a: {unit('replicas: many, ')}}}", ["spec.units", "replicas"]),
    "no image": (f"{{a: {unit(container='name: main')}}}", ["containers[0].image"]),
    "bad name": (f"{{A_b: {unit()}}}", ["A_b"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_box_is_refused_and_changes_nothing(fleet: fleets.Fleet, case: str) -> None:
    units, words = REFUSED[case]
    done = fleet.kubectl("apply", "-f", "-", stdin=box(units), check=False)
    assert done.returncode != 0
    for word in words:
        assert word in done.stderr
    assert fleet.kubectl("get", "box", "bad", check=False).returncode != 0


def test_an_unknown_field_is_refused_or_warned_about(fleet: fleets.Fleet) -> None:
    text = box(f"{{a: {unit('replica: 2, ')}}}", name="odd")
    strict = fleet.kubectl("create", "--validate=strict", "-f", "-", stdin=text, check=False)
    assert (
        'unknown field "spec.units.a.replica"' in strict.stderr
        or 'unknown field "spec.units[a].replica"' in strict.stderr
    )
    assert strict.returncode != 0
    warned = fleet.kubectl("create", "--validate=warn", "-f", "-", stdin=text)
    assert "unknown field" in warned.stderr
    fleet.kubectl("delete", "box/odd")


RUNTIME = {
    "image": (unit(container="name: main, image: boxfleet.local/nowhere:1"), ["nowhere"]),
    "crash": (
        unit(container="name: main, image: boxfleet.local/busybox:1, command: [sh, -c, 'exit 3']"),
        ["CrashLoopBackOff"],
    ),
    "probe": (
        unit(
            container="name: main, image: boxfleet.local/busybox:1, command: [sleep, '1000'], "
            "readinessProbe: {exec: {command: ['false']}, periodSeconds: 1}"
        ),
        ["robe"],
    ),
    "memory": (
        unit(
            container="name: main, image: boxfleet.local/busybox:1, command: [sleep, '1000'], "
            "resources: {requests: {memory: 900Gi}}"
        ),
        ["nsufficient memory"],
    ),
}


PORT = (
    "name: main, image: boxfleet.local/busybox:1, command: [sleep, '1000'], "
    "ports: [{containerPort: 80, hostPort: 18180}]"
)


def test_a_port_that_is_taken_says_so(fleet: fleets.Fleet) -> None:
    try:
        for name in ("port-first", "port-second"):
            fleet.kubectl("apply", "-f", "-", stdin=box(f"{{a: {unit(container=PORT)}}}", name=name))
            if name == "port-first":
                fleet.kubectl("wait", "--for=condition=Ready", "box/port-first", "--timeout=60s")

        def told() -> bool:
            report = fleet.boxfleet("status", check=False).stdout
            return "port-second" in report and "18180" in report

        fleets.eventually(told, within=60, what="status names the port")
    finally:
        fleet.kubectl("delete", "box/port-first", "box/port-second", "--ignore-not-found")


def test_a_full_pool_says_what_to_do(fleet: fleets.Fleet) -> None:
    used = sorted(ipaddress.IPv4Address(address) for address, _ in fleet.identities().values())
    narrow = {"spec": {"start": str(used[0]), "end": str(used[-1])}}
    fleet.kubectl("patch", "addresspool/default", "--type=merge", "-p", json.dumps(narrow))
    try:
        fleet.kubectl("apply", "-f", "-", stdin=box(f"{{a: {unit('replicas: 9, ')}}}", name="crowd"))

        def told() -> bool:
            report = fleet.boxfleet("status", check=False)
            return report.returncode == 1 and "AddressPoolFull" in report.stdout and "crowd" in report.stdout

        fleets.eventually(told, within=60, what="status tells of the full pool")
        wide = {"spec": {"start": None, "end": None}}
        fleet.kubectl("patch", "addresspool/default", "--type=merge", "-p", json.dumps(wide))
        fleet.kubectl("wait", "--for=condition=Ready", "box/crowd", "--timeout=90s")
    finally:
        fleet.kubectl("patch", "addresspool/default", "--type=merge", "-p", '{"spec":{"start":null,"end":null}}')
        fleet.kubectl("delete", "box/crowd", "--ignore-not-found")


@pytest.mark.parametrize("case", RUNTIME)
def test_what_does_not_run_says_why(fleet: fleets.Fleet, case: str) -> None:
    one, words = RUNTIME[case]
    name = f"sick-{case}"
    fleet.kubectl("apply", "-f", "-", stdin=box(f"{{a: {one}, b: {unit('dependsOn: [{unit: a}], ')}}}", name=name))
    try:

        def told() -> bool:
            status = fleet.boxfleet("status", check=False)
            events = fleet.kubectl("get", "events").stdout
            assert status.returncode == 1
            assert name in status.stdout
            return all(word in status.stdout and word in events + status.stdout for word in words)

        fleets.eventually(told, within=60, what=f"status tells of {words}")
        # Without a probe, what crashes is ready for the moments in which it runs.
        if case != "crash":
            assert "waits for" in fleet.kubectl("describe", "unit", f"{name}-b").stdout
    finally:
        fleet.kubectl("delete", f"box/{name}")
        fleets.eventually(
            lambda: name not in fleet.kubectl("get", "pods", "-o", "name").stdout, within=60, what="gone again"
        )
