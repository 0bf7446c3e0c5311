"""What the docker driver decides without an engine."""

import datetime
import struct
from typing import Any

import msgspec
import pytest

from boxfleet.api import labels
from boxfleet.api import pod as pods
from boxfleet.drivers.docker import (
    archives,
    connection,
    deciding,
    given,
    marks,
    model,
    pause,
    pieces,
    report,
    status,
    support,
    tls,
    volumes,
)
from boxfleet.planning import pod_volumes, probing
from boxfleet.ports import cluster

ENGINE = given.Engine(fleet="f", domain="box.test", network="n", cpu=2000, memory=2**30, local=True, reachable=True)
NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
MAIN = {"name": "main", "image": "app:1", "imagePullPolicy": "IfNotPresent"}


def wanted(
    *, orders: dict[str, Any] | None = None, annotations: dict[str, str] | None = None, **spec: Any
) -> given.Given:
    pod = {
        "metadata": {"name": "web-0", "namespace": "ns", "uid": "u1", "annotations": annotations or {}},
        "spec": {"containers": [MAIN], **spec},
    }
    share = cluster.Share(
        namespace="ns",
        unit="shop-web",
        box="shop",
        ordinals=(0,),
        orders={0: cluster.Order(pod=pod, **(orders or {}))},
    )
    return given.read(share, 0)


def made(
    container: str = "main",
    role: str = "main",
    *,
    uid: str = "u1",
    image: str = "app:1",
    incarnation: str = "i",
    **state: Any,
) -> model.Container:
    fingerprint = marks.fingerprint(msgspec.convert({"name": container, "image": image}, pods.Container))
    table = {
        marks.FLEET: "f", marks.NAMESPACE: "ns", marks.UNIT: "shop-web", marks.POD: "web-0", marks.UID: uid,
        marks.CONTAINER: container, marks.ROLE: role, marks.HASH: fingerprint, marks.INCARNATION: incarnation,
    }  # fmt: skip
    found = {"Status": "running", "StartedAt": "2026-01-01T00:00:00.123456789Z"} | state
    return model.read(
        {
            "Id": f"id-{container}",
            "Created": "2026-01-01T00:00:00Z",
            "State": found,
            "Config": {"Image": image, "Labels": table},
            "NetworkSettings": {"Networks": {"n": {"IPAddress": "10.0.0.2"}}},
        }
    )


def step(one: given.Given | None, *there: model.Container, renew: str = "", started: bool = True) -> deciding.Step:
    return deciding.step(one, ENGINE, there, renew=renew, is_started=lambda _: started)


INITS = [{"name": "first", "image": "app:1"}, {"name": "side", "image": "app:1", "restartPolicy": "Always"}]


def test_steps_of_a_start() -> None:
    one = wanted(initContainers=INITS)
    assert step(one) == deciding.Make(name=marks.NETWORK_NAME, role="network")
    network = made(marks.NETWORK_NAME, "network")
    assert step(one, network) == deciding.Make(name="first", role="init")
    new = made("first", "init", Status="created", StartedAt="0001-01-01T00:00:00Z")
    assert step(one, network, new) == deciding.Start(container=new)
    assert step(one, network, made("first", "init")) == deciding.REST
    failed = made("first", "init", Status="restarting", ExitCode=1)
    assert step(one, network, failed) == deciding.REST
    done = made("first", "init", Status="exited")
    assert step(one, network, done) == deciding.Make(name="side", role="sidecar")
    side = made("side", "sidecar")
    assert step(one, network, done, side, started=False) == deciding.REST
    assert step(one, network, done, side) == deciding.Make(name="main", role="main")
    assert step(one, network, done, side, made()) == deciding.REST
    # Once its containers are there, it is not initialized again: somebody may have cleaned up.
    assert step(one, network, side, made()) == deciding.REST


def test_steps_of_an_end() -> None:
    one = made()
    assert step(None, one) == deciding.Leave(containers=[one], whole=True)
    assert step(wanted(), made(uid="u0")) == deciding.Leave(containers=[made(uid="u0")], whole=True)
    assert step(wanted(), one, renew="i") == deciding.Leave(containers=[one], whole=True)
    assert step(wanted(), one, renew="other") == deciding.REST
    other = made(image="app:0")
    assert step(wanted(), other) == deciding.Leave(containers=[other], whole=False)
    assert step(None) == deciding.REST


def test_what_has_ended_stays_so() -> None:
    over = made(Status="exited", ExitCode=0)
    assert step(wanted(), over) == deciding.Start(container=over)
    assert step(wanted(restartPolicy="OnFailure"), over) == deciding.REST
    failed = made(Status="exited", ExitCode=1)
    assert step(wanted(restartPolicy="OnFailure"), failed) == deciding.Start(container=failed)
    assert step(wanted(restartPolicy="Never"), failed) == deciding.REST
    once = wanted(restartPolicy="Never", initContainers=INITS)
    side, network = made("side", "sidecar"), made(marks.NETWORK_NAME, "network")
    assert step(once, side, network, over) == deciding.Halt(containers=[side, network])


def test_a_network_that_began_anew_takes_its_users_along() -> None:
    one = wanted(containers=[MAIN, {"name": "b", "image": "app:1"}])
    network = made(marks.NETWORK_NAME, "network", StartedAt="2026-01-01T00:01:00Z")
    old = made()
    found = step(one, network, old, made("b", StartedAt="2026-01-01T00:01:01Z"))
    assert found == deciding.Leave(containers=[old], whole=False)


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"activeDeadlineSeconds": 5}, "spec.activeDeadlineSeconds"),
        ({"volumes": [{"name": "v", "hostPath": {"path": "/x"}}]}, r"spec.volumes\[0\].hostPath"),
        ({"volumes": [{"name": "v", "csi": {"driver": "ipc.boxfleet.dev"}}]}, r"spec.volumes\[0\].csi"),
        (
            {"volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]},
            r"spec.volumes\[0\].projected.sources",
        ),
        (
            {
                "volumes": [{"name": "v", "emptyDir": {}}],
                "containers": [MAIN | {"volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "s"}]}],
            },
            r"spec.containers\[0\].volumeMounts\[0\].subPath",
        ),
        (
            {
                "volumes": [{"name": "v", "configMap": {"name": "m"}}],
                "containers": [
                    MAIN
                    | {
                        "volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "s"}],
                        "securityContext": {"readOnlyRootFilesystem": True},
                    }
                ],
            },
            r"spec.containers\[0\].volumeMounts\[0\].subPath",
        ),
        (
            {"containers": [MAIN | {"livenessProbe": {"tcpSocket": {"port": 1}}}]},
            r"spec.containers\[0\].livenessProbe",
        ),
        (
            {"initContainers": [MAIN | {"lifecycle": {"preStop": {"httpGet": {"port": 1}}}}]},
            r"spec.initContainers\[0\].lifecycle.preStop",
        ),
        (
            {"containers": [MAIN | {"resources": {"limits": {"example.com/gpu": 1}}}]},
            r"spec.containers\[0\].resources.limits",
        ),
    ],
)
def test_what_cannot_be_done_is_named(spec: dict[str, Any], path: str) -> None:
    far = msgspec.structs.replace(ENGINE, reachable=False, local=False)
    with pytest.raises(cluster.Unsupported, match=path):
        support.check(wanted(**spec), far)


def test_what_can_be_done_here_is_not_refused() -> None:
    near = {"containers": [MAIN | {"livenessProbe": {"tcpSocket": {"port": 1}}}]}
    support.check(wanted(**near, volumes=[{"name": "v", "hostPath": {"path": "/x"}}]), ENGINE)
    two = wanted(containers=[MAIN, {"name": "b", "image": "app:1"}])
    support.check(two, ENGINE)
    with pytest.raises(cluster.Unsupported, match=r"spec\.containers: .* on riscv64"):
        support.check(two, msgspec.structs.replace(ENGINE, architecture="riscv64"))


def test_the_way_to_our_own_api_is_left_out() -> None:
    one = wanted(
        volumes=[{"name": "kube-api-access-x", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}],
        containers=[MAIN | {"volumeMounts": [{"name": "kube-api-access-x", "mountPath": "/var/run"}]}],
    )
    support.check(one, ENGINE)
    assert volumes.plan(one, ENGINE, pod_ip="") == []


def test_an_address_of_the_ledger_is_given_where_the_network_has_it() -> None:
    one = wanted(annotations={labels.ADDRESS: "198.18.0.9"})
    inside = msgspec.structs.replace(ENGINE, subnets=("198.18.0.0/24",))
    piece = pieces.piece(one, inside, one.pod.spec.containers[0], "main", incarnation="i", holder_id="", pod_ip="")
    endpoint = piece.body["NetworkingConfig"]["EndpointsConfig"]["n"]
    assert endpoint["IPAMConfig"] == {"IPv4Address": "198.18.0.9"}
    assert endpoint["Aliases"] == ["web.shop.ns.box.test", "web-0.web.shop.ns.box.test"]
    assert piece.body["HostConfig"]["DnsSearch"] == ["ns.box.test", "box.test"]
    outside = pieces.piece(one, ENGINE, one.pod.spec.containers[0], "main", incarnation="i", holder_id="", pod_ip="")
    assert "IPAMConfig" not in outside.body["NetworkingConfig"]["EndpointsConfig"]["n"]


def test_who_must_know_its_address_before_gets_a_network_first() -> None:
    env = [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]
    one = wanted(containers=[MAIN | {"env": env}])
    assert pieces.order(one, ENGINE) == [(marks.NETWORK_NAME, "network"), ("main", "main")]
    piece = pieces.piece(
        one, ENGINE, one.pod.spec.containers[0], "main", incarnation="i", holder_id="h", pod_ip="10.0.0.7"
    )
    assert piece.body["Env"] == ["IP=10.0.0.7"]
    assert piece.body["HostConfig"]["NetworkMode"] == "container:h"
    assert "NetworkingConfig" not in piece.body


def test_secrets_are_in_no_label() -> None:
    secrets = {"s": {"metadata": {"name": "s"}, "data": {"k": "aGlkZGVu"}}}
    one = wanted(
        orders={"secrets": secrets},
        containers=[
            MAIN
            | {
                "env": [{"name": "K", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
                "volumeMounts": [{"name": "v", "mountPath": "/k", "subPath": "k"}],
            }
        ],
        volumes=[{"name": "v", "secret": {"secretName": "s"}}],
    )
    piece = pieces.piece(one, ENGINE, one.pod.spec.containers[0], "main", incarnation="i", holder_id="", pod_ip="")
    assert piece.body["Env"] == ["K=hidden"]
    assert "hidden" not in str(piece.body["Labels"])
    assert [(file.path, file.content) for file in piece.files] == [("k", b"hidden")]


def known(one: given.Given, **more: Any) -> status.Known:
    return status.Known(wanted=one, order=pieces.order(one, ENGINE), **more)


def condition(found: Any, kind: str) -> tuple[str, str]:
    return next((each.status, each.reason) for each in found.conditions if each.type == kind)


def test_status_of_what_runs() -> None:
    one = wanted()
    well = probing.Check(started=True, ready=True)
    found = status.build([made()], known(one, checks={"id-main": well}), now=NOW)
    assert (found.phase, found.podIP, found.startTime) == ("Running", "10.0.0.2", "2026-01-01T00:00:00Z")
    assert condition(found, "Ready") == ("True", "")
    assert found.containerStatuses[0].containerID == "docker://id-main"
    later = known(one, checks={"id-main": probing.Check(started=True)}, before=found.conditions)
    after = status.build([made()], later, now=NOW + datetime.timedelta(hours=1))
    assert condition(after, "Ready") == ("False", "ContainersNotReady")
    times = {each.type: each.lastTransitionTime for each in after.conditions}
    assert times["Ready"] == "2026-01-02T01:00:00Z" and times["Initialized"] == "2026-01-02T00:00:00Z"
    # Before its order came, what runs counts as well.
    assert condition(status.build([made()], status.Known(), now=NOW), "Ready") == ("True", "")


def test_status_of_what_does_not_run() -> None:
    one = wanted()
    hold = status.Hold(reason="ErrImagePull", message="no")
    found = status.build([], known(one, holds={"main": hold}), now=NOW)
    assert (found.phase, found.containerStatuses[0].state.waiting) == (
        "Pending",
        pods.ContainerStateWaiting(reason="ErrImagePull", message="no"),
    )
    crashed = made(Status="restarting", Restarting=True, ExitCode=3, FinishedAt="2026-01-01T00:00:01Z")
    found = status.build([crashed], known(one), now=NOW)
    [container] = found.containerStatuses
    assert container.state.waiting is not None and container.state.waiting.reason == "CrashLoopBackOff"
    assert container.lastState.terminated is not None and container.lastState.terminated.exitCode == 3
    killed = made(Status="exited", OOMKilled=True, ExitCode=137)
    found = status.build([killed], known(wanted(restartPolicy="Never")), now=NOW)
    [container] = found.containerStatuses
    assert found.phase == "Failed" and container.state.terminated is not None
    assert container.state.terminated.reason == "OOMKilled"


def test_archives_come_back_as_they_went() -> None:
    files = [
        pod_volumes.File(path="a/b", content=b"1", mode=0o600, owner=5),
        pod_volumes.File(path="c", content=b"", mode=0o644),
    ]
    packed = archives.pack([msgspec.structs.replace(file, path=f"top/{file.path}") for file in files])
    assert archives.unpack(packed) == {"a/b": (b"1", 0o600), "c": (b"", 0o644)}
    assert archives.first(archives.pack(files[1:], group=7)) == (b"", 0o644)
    assert archives.first(archives.pack(files[:1])) is None


@pytest.mark.parametrize(("architecture", "machine"), [("x86_64", 62), ("aarch64", 183)])
def test_the_program_that_waits_is_a_program(architecture: str, machine: int) -> None:
    program = pause.program(architecture)
    assert program[:4] == b"\x7fELF"
    assert struct.unpack_from("<HH", program, 16) == (2, machine)
    entry, size = struct.unpack_from("<Q", program, 24)[0], struct.unpack_from("<Q", program, 64 + 32)[0]
    assert entry == 0x400000 + 120 and size == len(program)


def test_moments_of_the_engine() -> None:
    assert model.moment("0001-01-01T00:00:00Z") is None
    expected = datetime.datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=datetime.UTC)
    assert model.moment("2026-01-01T00:00:00.123456789Z") == expected
    assert model.moment("2026-01-01T02:00:00.123456789+02:00") == expected
    assert model.moment("2026-01-01T00:00:00Z") == expected.replace(microsecond=0)


def test_where_an_engine_is() -> None:
    assert connection.Where.parse("unix:///run/docker.sock") == connection.Where(socket="/run/docker.sock")
    assert connection.Where.parse("tcp://host:1234") == connection.Where(host="host", port=1234)
    assert connection.Where.parse("tcp://host") == connection.Where(host="host", port=2376)


def test_keys_that_are_none() -> None:
    with pytest.raises(cluster.Denied, match="correct the Secret"):
        tls.context({"ca.crt": b"x", "tls.crt": b"x", "tls.key": b"x"})


def test_what_an_engine_lacks() -> None:
    assert report.lacking({"OSType": "linux", "Architecture": "x86_64", "MemoryLimit": True}) == []
    [lack] = report.lacking({"OSType": "windows", "Architecture": "x86_64"})
    assert lack.fatal
    poor = {"Architecture": "armv7l", "MemoryLimit": False, "SecurityOptions": ["name=rootless", "name=userns"]}
    found = report.lacking(poor)
    assert len(found) == 4 and not any(each.fatal for each in found)
