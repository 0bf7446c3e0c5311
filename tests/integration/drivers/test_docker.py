"""What the docker driver makes of Pods on a real engine, beyond what every driver must do."""

import asyncio
import base64
import json
import os
import pathlib
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from tests.integration.agent import registry as registries

from boxfleet.api import cluster as clusters
from boxfleet.api import labels, meta, tunnel, wellknown
from boxfleet.drivers.docker import driver as docker_driver
from boxfleet.kit import clock
from boxfleet.ports import cluster, streams
from boxfleet.testing import docker, tools
from boxfleet.testing.conformance import cluster as suite

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.machine,
    pytest.mark.skipif(not docker.is_there(), reason="this machine lacks dockerd"),
]

NAMESPACE = "own"
WAIT = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1; done"]
Found = Sequence[cluster.Instance]


def make(engine: docker.Engine, *, host: str = "", network: str = "", fleet: str = "own") -> docker_driver.Driver:
    access = clusters.DockerAccess(host=host or engine.host, network=network)
    return docker_driver.Driver(access, fleet=fleet, credentials=engine.credentials, clock=clock.SystemClock())


@pytest.fixture
async def driver(engine: docker.Engine) -> AsyncIterator[docker_driver.Driver]:
    with engine.inside():
        async with suite.followed(make(engine)) as followed:
            assert isinstance(followed, docker_driver.Driver)
            yield followed
            # Nothing of a test stays, whatever became of it.
            for key in {meta.Key(one.namespace, one.unit) for one in followed.instances()}:
                await followed.withdraw(key)
    assert engine.docker("ps", "-aq", "--filter", "label=boxfleet.dev/fleet=own") == ""
    assert engine.docker("volume", "ls", "-q", "--filter", "label=boxfleet.dev/fleet=own") == ""
    assert "boxfleet" not in engine.docker("network", "ls", "--format", "{{.Name}}").split()


def share(name: str, *, number: int = 1, orders: dict[str, Any] | None = None, **spec: Any) -> cluster.Share:
    """A Unit of one instance; `container` gives fields of its only container."""
    container = {"name": "main", "image": tools.IMAGE, "command": WAIT, "imagePullPolicy": "IfNotPresent"}
    container |= spec.pop("container", {})
    metadata = {
        "name": f"{name}-0",
        "namespace": NAMESPACE,
        "uid": f"{name}-{number}",
        "labels": {"app": name},
        "annotations": spec.pop("annotations", {}),
    }
    pod = {
        "metadata": metadata,
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [container], **spec},
    }
    return cluster.Share(
        namespace=NAMESPACE,
        unit=name,
        box="",
        ordinals=(0,),
        orders={0: cluster.Order(pod=pod, **(orders or {}))},
    )


async def until(
    driver: docker_driver.Driver, wanted: cluster.Share, holds: Callable[[cluster.Instance], bool]
) -> cluster.Instance:
    found: Found = ()
    try:
        async with asyncio.timeout(60):
            while True:
                found = driver.instances(wanted.key)
                if driver.synced and len(found) == 1 and not found[0].leaving and holds(found[0]):
                    return found[0]
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"still so: {found}")


async def ready(driver: docker_driver.Driver, wanted: cluster.Share) -> cluster.Instance:
    await driver.deliver(wanted)
    uid = wanted.orders[0].pod["metadata"]["uid"]
    return await until(driver, wanted, lambda one: one.uid == uid and suite.is_ready(one))


async def say(driver: docker_driver.Driver, one: cluster.Instance, *command: str, container: str = "main") -> str:
    order = tunnel.ExecOrder(
        namespace=one.namespace, pod=one.name, uid=one.uid, container=container, command=list(command)
    )
    channels = suite.Recorded()
    await driver.stream(order, channels)
    return (channels.said(tunnel.Channel.STDOUT) + channels.said(tunnel.Channel.STDERR)).decode()


def inspect(engine: docker.Engine, name: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(engine.docker("inspect", name))
    return found[0]


def state(one: cluster.Instance, name: str = "main") -> dict[str, Any]:
    everything = [*one.status.get("initContainerStatuses", []), *one.status.get("containerStatuses", [])]
    found: dict[str, Any] = next(each for each in everything if each["name"] == name)
    return found


async def test_settings_of_a_container(engine: docker.Engine, driver: docker_driver.Driver) -> None:
    security = {
        "runAsUser": 1234,
        "runAsGroup": 4321,
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]},
    }
    wanted = share(
        "settings",
        container={
            "securityContext": security,
            "workingDir": "/bin",
            "resources": {"limits": {"cpu": "500m", "memory": "64Mi"}, "requests": {"cpu": "250m"}},
            "env": [
                {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}},
            ],
        },
        securityContext={"fsGroup": 77, "supplementalGroups": [88]},
        hostAliases=[{"ip": "198.18.9.9", "hostnames": ["elsewhere"]}],
    )
    one = await ready(driver, wanted)
    assert (await say(driver, one, "id")).split() == [
        "uid=1234", "gid=4321", "groups=4321,77,88"
    ]  # fmt: skip
    lines = (await say(driver, one, "env")).splitlines()
    assert {f"IP={one.status['podIP']}", "NAME=settings-0", "CPU=500"} <= set(lines)
    assert "Read-only file system" in await say(driver, one, "sh", "-c", "echo > /x")
    assert "198.18.9.9\telsewhere" in await say(driver, one, "cat", "/etc/hosts")
    host = inspect(engine, "own_settings-0_main")["HostConfig"]
    assert (host["Memory"], host["CpuQuota"], host["CpuShares"]) == (64 * 2**20, 50_000, 256)
    assert (host["CapAdd"], host["CapDrop"]) == (["NET_ADMIN"], ["ALL"])
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert one.status["qosClass"] == "Burstable"


async def test_several_containers_share_a_network(engine: docker.Engine, driver: docker_driver.Driver) -> None:
    wanted = share(
        "several",
        initContainers=[
            {"name": "first", "image": tools.IMAGE, "command": ["sh", "-c", "echo one > /shared/order"],
             "volumeMounts": [{"name": "shared", "mountPath": "/shared"}]},
            {"name": "side", "image": tools.IMAGE, "command": tools.server(9090), "restartPolicy": "Always",
             "startupProbe": {"tcpSocket": {"port": 9090}, "periodSeconds": 1, "failureThreshold": 30}},
            {"name": "second", "image": tools.IMAGE,
             "command": ["sh", "-c", "echo two >> /shared/order"],
             "volumeMounts": [{"name": "shared", "mountPath": "/shared"}]},
        ],
        containers=[
            {"name": "main", "image": tools.IMAGE, "command": WAIT,
             "volumeMounts": [{"name": "shared", "mountPath": "/shared"}]},
            {"name": "web", "image": tools.IMAGE, "command": tools.server(8080),
             "readinessProbe": {"httpGet": {"port": 8080, "path": "/"}, "periodSeconds": 1}},
        ],
        volumes=[{"name": "shared", "emptyDir": {}}],
    )  # fmt: skip
    one = await ready(driver, wanted)
    assert await say(driver, one, "cat", "/shared/order") == "one\ntwo\n"
    for port in (8080, 9090):
        assert (await say(driver, one, *tools.client("127.0.0.1", port))).startswith("127.0.0.1")
    assert [each["name"] for each in one.status["initContainerStatuses"]] == ["first", "side", "second"]
    assert state(one, "first")["state"]["terminated"]["reason"] == "Completed"
    assert state(one, "side")["ready"] and state(one, "web")["ready"]
    # A container that dies comes back into the same network, by the engine's own hand.
    before = one.status["podIP"]
    os.kill(inspect(engine, "own_several-0_web")["State"]["Pid"], signal.SIGKILL)
    one = await until(driver, wanted, lambda now: state(now, "web")["restartCount"] == 1 and suite.is_ready(now))
    assert one.status["podIP"] == before
    assert (await say(driver, one, *tools.client("127.0.0.1", 8080))).startswith("127.0.0.1")


async def test_what_crashes_and_what_cannot_start(driver: docker_driver.Driver) -> None:
    crashing = share("crashing", container={"command": ["sh", "-c", "exit 4"]})
    await driver.deliver(crashing)
    one = await until(
        driver, crashing, lambda now: state(now)["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff"
    )
    assert state(one)["lastState"]["terminated"]["exitCode"] == 4
    await until(driver, crashing, lambda now: state(now)["restartCount"] >= 2)
    nothing = share("nothing", container={"command": ["/no/such/program"]})
    await driver.deliver(nothing)
    one = await until(
        driver, nothing, lambda now: state(now)["state"].get("waiting", {}).get("reason") == "RunContainerError"
    )
    assert "/no/such/program" in state(one)["state"]["waiting"]["message"]
    absent = share("absent", container={"image": "127.0.0.1:1/nowhere:1"})
    await driver.deliver(absent)
    one = await until(
        driver, absent, lambda now: state(now)["state"]["waiting"]["reason"] in ("ErrImagePull", "ImagePullBackOff")
    )
    assert "127.0.0.1:1" in state(one)["state"]["waiting"]["message"]
    assert one.status["phase"] == "Pending"
    never = share("never", container={"image": "boxfleet.local/none:1", "imagePullPolicy": "Never"})
    await driver.deliver(never)
    await until(driver, never, lambda now: state(now)["state"]["waiting"]["reason"] == "ErrImageNeverPull")
    unset = share(
        "unset", container={"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "none", "key": "k"}}}]}
    )
    await driver.deliver(unset)
    await until(driver, unset, lambda now: state(now)["state"]["waiting"]["reason"] == "CreateContainerConfigError")
    greedy = share(
        "greedy",
        container={
            "command": ["sh", "-c", "perl -e '$x = \"a\" x (512*1024*1024)'"],
            "resources": {"limits": {"memory": "32Mi"}},
        },
        restartPolicy="Never",
    )
    await driver.deliver(greedy)
    one = await until(driver, greedy, lambda now: now.status["phase"] == "Failed")
    assert state(one)["state"]["terminated"]["exitCode"] == 137


async def test_init_containers_that_fail(driver: docker_driver.Driver) -> None:
    wanted = share(
        "failing",
        initContainers=[{"name": "first", "image": tools.IMAGE, "command": ["sh", "-c", "exit 2"]}],
        restartPolicy="Never",
    )
    await driver.deliver(wanted)
    one = await until(driver, wanted, lambda now: now.status["phase"] == "Failed")
    assert state(one)["state"]["waiting"]["reason"] == "PodInitializing"
    assert {each["type"]: each["status"] for each in one.status["conditions"]}["Initialized"] == "False"


async def test_probes_decide(engine: docker.Engine, driver: docker_driver.Driver) -> None:
    wanted = share(
        "probed",
        container={
            "command": ["sh", "-c", "echo > /well; trap 'exit 0' TERM; while :; do sleep 0.1; done"],
            "readinessProbe": {"exec": {"command": ["cat", "/ready"]}, "periodSeconds": 1, "failureThreshold": 1},
            "livenessProbe": {"exec": {"command": ["cat", "/well"]}, "periodSeconds": 1, "failureThreshold": 2},
        },
    )
    await driver.deliver(wanted)
    one = await until(driver, wanted, lambda now: bool(state(now)["state"].get("running")))
    assert not suite.is_ready(one)
    await say(driver, one, "sh", "-c", "echo > /ready")
    one = await until(driver, wanted, suite.is_ready)
    await asyncio.to_thread(engine.docker, "exec", "own_probed-0_main", "perl", "-e", "unlink '/well'")
    after = await until(driver, wanted, lambda now: state(now)["restartCount"] == 1 and suite.is_ready(now))
    assert after.incarnation == one.incarnation


async def test_volumes(engine: docker.Engine, driver: docker_driver.Driver) -> None:
    maps = {"settings": {"metadata": {"name": "settings", "namespace": NAMESPACE}, "data": {"a.conf": "one", "b": "b"}}}
    secret = base64.b64encode(b"hidden").decode()
    secrets = {"keys": {"metadata": {"name": "keys", "namespace": NAMESPACE}, "data": {"key": secret}}}
    volumes = [
        {"name": "all", "projected": {"sources": [
            {"configMap": {"name": "settings"}},
            {"secret": {"name": "keys", "items": [{"key": "key", "path": "deep/key", "mode": 0o400}]}},
            {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
        ]}},
        {"name": "one", "configMap": {"name": "settings"}},
        {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        {"name": "data", "persistentVolumeClaim": {"claimName": "data-0"}},
    ]  # fmt: skip
    mounts = [
        {"name": "all", "mountPath": "/all"},
        {"name": "one", "mountPath": "/etc/app/a.conf", "subPath": "a.conf"},
        {"name": "memory", "mountPath": "/memory"},
        {"name": "data", "mountPath": "/data"},
    ]

    def given(number: int = 1) -> cluster.Share:
        return share(
            "volumes",
            number=number,
            orders={"config_maps": maps, "secrets": secrets},
            container={"volumeMounts": mounts, "securityContext": {"runAsUser": 1234}},
            volumes=volumes,
            securityContext={"fsGroup": 77},
        )

    one = await ready(driver, given())
    read = ["cat", "/all/a.conf", "/all/deep/key", "/all/labels", "/etc/app/a.conf"]
    assert await say(driver, one, *read) == 'onehiddenapp="volumes"one'
    assert "Read-only" in await say(driver, one, "sh", "-c", "echo > /all/b")
    await say(driver, one, "sh", "-c", "echo kept > /data/kept; echo fast > /memory/x")
    assert "tmpfs /memory" in await say(driver, one, "cat", "/proc/mounts")
    maps["settings"]["data"] = {"a.conf": "two"}
    await driver.deliver(given())

    async def as_changed() -> bool:
        return await say(driver, one, *read, "/all/b") == 'twohiddenapp="volumes"two'

    async with asyncio.timeout(60):
        while not await as_changed():
            await asyncio.sleep(0.05)
    assert (await until(driver, given(), suite.is_ready)).incarnation == one.incarnation
    # Nothing that is secret shows in what the engine tells of its containers.
    told = json.dumps(inspect(engine, "own_volumes-0_main"))
    assert "hidden" not in told and secret not in told
    after = await ready(driver, given(2))
    assert await say(driver, after, "cat", "/data/kept") == "kept\n"


async def test_addresses_and_names(engine: docker.Engine) -> None:
    network = "ledger"
    engine.docker("network", "create", "--subnet", "198.18.7.0/24", network)
    try:
        with engine.inside():
            async with suite.followed(make(engine, network=network)) as followed:
                assert isinstance(followed, docker_driver.Driver)
                web = share("web", annotations={labels.ADDRESS: "198.18.7.9"}, container={"command": tools.server(80)})
                asking = share("asking", annotations={labels.ADDRESS: "198.18.99.9"})
                try:
                    one = await ready(followed, web)
                    assert one.status["podIP"] == "198.18.7.9"
                    assert one.status["podIPs"] == [{"ip": "198.18.7.9"}]
                    two = await ready(followed, asking)
                    # One that the network does not have is the engine's to choose.
                    assert two.status["podIP"].startswith("198.18.7.")
                    for name in ("web", f"web.own.{wellknown.DOMAIN}", f"web-0.web.own.{wellknown.DOMAIN}"):
                        said = await say(followed, two, *tools.client(name, 80))
                        assert said == f"{two.status['podIP']}\n", name
                    await followed.renew(NAMESPACE, "web-0")
                    after = await until(followed, web, lambda now: now.incarnation != one.incarnation)
                    after = await until(followed, web, suite.is_ready)
                    assert after.status["podIP"] == "198.18.7.9"
                finally:
                    await followed.withdraw(web.key)
                    await followed.withdraw(asking.key)
    finally:
        engine.docker("network", "rm", network)


async def test_ports_of_the_host_and_its_network(driver: docker_driver.Driver) -> None:
    port = {"containerPort": 8080, "hostPort": 18080, "hostIP": "127.0.0.1"}
    mapped = share("mapped", container={"command": tools.server(8080), "ports": [port]})
    own = share(
        "own-network",
        container={
            "command": tools.server(18081),
            "readinessProbe": {"tcpSocket": {"port": 18081}, "periodSeconds": 1},
        },
        hostNetwork=True,
    )
    await ready(driver, mapped)
    one = await ready(driver, own)
    assert (await say(driver, one, *tools.client("127.0.0.1", 18080))).count(".") == 3
    reader, writer = await asyncio.open_connection("127.0.0.1", 18081)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.0 200")
    writer.close()


async def test_it_heals_while_nobody_is_there(engine: docker.Engine) -> None:
    wanted = share("alone", container={"command": ["sh", "-c", "sleep 1; exit 1"]})
    with engine.inside():
        async with suite.followed(make(engine)) as followed:
            assert isinstance(followed, docker_driver.Driver)
            await followed.deliver(wanted)
            await until(followed, wanted, lambda now: bool(state(now)["state"].get("running")))
        before = inspect(engine, "own_alone-0_main")["RestartCount"]
        async with asyncio.timeout(60):
            while inspect(engine, "own_alone-0_main")["RestartCount"] <= before:
                await asyncio.sleep(0.2)
        async with suite.followed(make(engine)) as followed:
            assert isinstance(followed, docker_driver.Driver)
            # Also before the order comes again it is shown.
            one = await until(followed, wanted, lambda now: now.status["phase"] == "Running")
            assert one.uid == "alone-1"
            await followed.withdraw(wanted.key)
            await suite_gone(followed, wanted)


async def test_an_engine_without_containers_is_told_of(engine: docker.Engine) -> None:
    told: list[meta.Key | None] = []
    one = make(engine)
    with engine.inside():
        # Whoever drives it looks at it first.
        await one.check()
        running = asyncio.create_task(one.run(told.append))
        async with asyncio.timeout(60):
            while not told:
                await asyncio.sleep(0.02)
        running.cancel()
        await asyncio.wait([running])
        await one.close()
    assert (told[0], [each.name for each in one.nodes()]) == (None, [engine.docker("info", "-f", "{{.Name}}").strip()])


async def test_what_runs_already_is_ready_with_its_order(engine: docker.Engine) -> None:
    wanted = share("before", container={"readinessProbe": {"exec": {"command": ["sh", "-c", "exit 0"]}}})
    with engine.inside():
        async with suite.followed(make(engine)) as followed:
            assert isinstance(followed, docker_driver.Driver)
            await ready(followed, wanted)
        async with suite.followed(make(engine)) as followed:
            assert isinstance(followed, docker_driver.Driver)
            await until(followed, wanted, lambda now: now.status["phase"] == "Running")
            # The order comes when the view is there, and nothing happens to the container any more.
            await followed.deliver(wanted)
            [one] = followed.instances(wanted.key)
            assert suite.is_ready(one)
            await followed.withdraw(wanted.key)
            await suite_gone(followed, wanted)


async def suite_gone(driver: docker_driver.Driver, wanted: cluster.Share) -> None:
    async with asyncio.timeout(60):
        while driver.instances(wanted.key):
            await asyncio.sleep(0.02)


async def test_an_engine_that_starts_anew(engine: docker.Engine, driver: docker_driver.Driver) -> None:
    wanted = share(
        "restarted",
        containers=[
            {"name": "main", "image": tools.IMAGE, "command": WAIT},
            {"name": "web", "image": tools.IMAGE, "command": tools.server(8080),
             "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1}},
        ],
    )  # fmt: skip
    one = await ready(driver, wanted)
    await engine.stop_daemon()
    async with asyncio.timeout(60):
        while driver.synced:
            await asyncio.sleep(0.05)
    with pytest.raises(cluster.Unreachable):
        await driver.deliver(wanted)
    await engine.start_daemon()
    after = await until(driver, wanted, suite.is_ready)
    assert after.uid == one.uid
    assert (await say(driver, after, *tools.client("127.0.0.1", 8080))).startswith("127.0.0.1")


async def test_over_tls(engine: docker.Engine) -> None:
    wanted = share("secure")
    with engine.inside():
        async with suite.followed(make(engine, host=engine.tls_host)) as followed:
            assert isinstance(followed, docker_driver.Driver)
            one = await ready(followed, wanted)
            assert await say(followed, one, "echo", "hello") == "hello\n"
            # The end of a command's input ends only that.
            order = tunnel.ExecOrder(
                namespace=NAMESPACE,
                pod=one.name,
                uid=one.uid,
                container="main",
                command=["sh", "-c", "cat; echo after; exit 5"],
                stdin=True,
            )
            much = b"0123456789" * 100_000
            said = [(tunnel.Channel.STDIN, much[at : at + 65536]) for at in range(0, len(much), 65536)]
            channels = suite.Recorded(*said, (tunnel.Channel.CLOSE, bytes([tunnel.Channel.STDIN])))
            assert b'"5"' in await followed.stream(order, channels)
            assert channels.said(tunnel.Channel.STDOUT) == much + b"after\n"
            await followed.withdraw(wanted.key)
            refused = share("refused", volumes=[{"name": "host", "hostPath": {"path": "/etc"}}])
            with pytest.raises(cluster.Unsupported, match=r"spec.volumes\[0\].hostPath"):
                await followed.deliver(refused)
        stranger = docker_driver.Driver(
            clusters.DockerAccess(host=engine.tls_host), fleet="own", credentials={}, clock=clock.SystemClock()
        )
        with pytest.raises(cluster.Denied, match=r"ca\.crt, tls\.crt, tls\.key"):
            await stranger.check()
        await stranger.close()


async def test_from_where_its_addresses_cannot_be_reached(engine: docker.Engine) -> None:
    async with suite.followed(make(engine)) as followed:
        assert isinstance(followed, docker_driver.Driver)
        probed = share("probed", container={"readinessProbe": {"httpGet": {"port": 80}}})
        with pytest.raises(cluster.Unsupported, match=r"spec.containers\[0\].readinessProbe"):
            await followed.deliver(probed)
        wanted = share("far", container={"command": tools.server(8080)})
        one = await ready(followed, wanted)
        order = tunnel.ForwardOrder(namespace=NAMESPACE, pod=one.name, uid=one.uid, port=8080)
        with pytest.raises(streams.Refusal, match="neither socat nor nc nor bash"):
            await followed.stream(order, suite.Recorded((tunnel.Channel.STDIN, b"GET / HTTP/1.0\r\n\r\n")))
        await followed.withdraw(wanted.key)


async def test_images_of_a_registry_that_wants_a_password(
    engine: docker.Engine, driver: docker_driver.Driver, tmp_path: pathlib.Path
) -> None:
    archive = tmp_path / "tools.tar"
    archive.write_bytes(tools.archive())
    async with registries.running(tmp_path / "registry", password=True) as registry:
        image = await registry.push(archive, "team/app:1")

        def given(number: int, **spec: Any) -> cluster.Share:
            auth = base64.b64encode(registries.docker_config(registry.host).encode()).decode()
            login = {"metadata": {"name": "login"}, "type": "kubernetes.io/dockerconfigjson"}
            secrets = {"login": {**login, "data": {".dockerconfigjson": auth}}}
            return share("pulled", number=number, orders={"secrets": secrets}, container={"image": image}, **spec)

        await driver.deliver(given(1))
        one = await until(
            driver, given(1), lambda now: state(now)["state"].get("waiting", {}).get("reason") == "ErrImagePull"
        )
        assert f"{registry.host} wants a password" in state(one)["state"]["waiting"]["message"]
        one = await ready(driver, given(2, imagePullSecrets=[{"name": "login"}]))
        assert state(one)["image"] == image
        assert registries.PASSWORD not in json.dumps(inspect(engine, "own_pulled-0_main"))
    await driver.withdraw(given(1).key)
    engine.docker("rmi", image)


async def test_a_folder_of_the_host(driver: docker_driver.Driver, tmp_path: pathlib.Path) -> None:
    (tmp_path / "words").write_text("of the host")
    wanted = share(
        "host-path",
        container={"volumeMounts": [{"name": "host", "mountPath": "/host", "readOnly": True}]},
        volumes=[{"name": "host", "hostPath": {"path": str(tmp_path), "type": "Directory"}}],
    )
    one = await ready(driver, wanted)
    assert await say(driver, one, "cat", "/host/words") == "of the host"
    assert "Read-only" in await say(driver, one, "sh", "-c", "echo > /host/words")


async def test_a_socket_that_is_for_others(engine: docker.Engine) -> None:
    engine.socket.chmod(0o600)
    driver = make(engine)
    try:
        os.seteuid(65534)
        with pytest.raises(cluster.Denied, match="usermod -aG docker"):
            await driver.check()
    finally:
        os.seteuid(0)
        engine.socket.chmod(0o660)
        await driver.close()


async def test_it_measures(driver: docker_driver.Driver) -> None:
    wanted = share("busy", container={"command": ["sh", "-c", "while :; do :; done"]})
    await ready(driver, wanted)
    usage = await driver.usage("")
    [one] = [each for each in usage.containers if each.pod == "busy-0"]
    assert one.cpu > 0.01 and one.memory > 0
    assert usage.cpu >= one.cpu


async def test_previous_logs_are_refused(driver: docker_driver.Driver) -> None:
    one = await ready(driver, share("logged"))
    order = tunnel.LogOrder(namespace=NAMESPACE, pod=one.name, uid=one.uid, container="main", previous=True)
    with pytest.raises(streams.Refusal, match="keeps one log of all its runs"):
        await driver.stream(order, suite.Recorded())


async def test_attaching(driver: docker_driver.Driver) -> None:
    fields = {"command": ["sh", "-c", "cat; exit 3"], "stdin": True, "stdinOnce": True}
    wanted = share("attached", container=fields, restartPolicy="Never")
    one = await ready(driver, wanted)
    order = tunnel.AttachOrder(namespace=NAMESPACE, pod=one.name, uid=one.uid, container="main", stdin=True)
    channels = suite.Recorded((tunnel.Channel.STDIN, b"said\n"), (tunnel.Channel.CLOSE, bytes([tunnel.Channel.STDIN])))
    status = await driver.stream(order, channels)
    assert channels.said(tunnel.Channel.STDOUT) == b"said\n"
    assert b'"3"' in status


async def test_a_socket_that_is_not_ours(tmp_path: pathlib.Path) -> None:
    access = clusters.DockerAccess(host=f"unix://{tmp_path}/none.sock")
    driver = docker_driver.Driver(access, fleet="own", credentials={}, clock=clock.SystemClock())
    with pytest.raises(cluster.Unreachable, match=r"none\.sock"):
        await driver.check()
    await driver.close()
