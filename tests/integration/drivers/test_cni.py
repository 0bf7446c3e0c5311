"""The driver of CNI against real plug-ins, real sandboxes and a real world outside."""

import asyncio
import contextlib
import itertools
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from boxfleet.drivers.cni import network as cni
from boxfleet.drivers.containerd import daemon
from boxfleet.ports import network, runtime
from boxfleet.testing import host as test_host
from boxfleet.testing import tools
from boxfleet.testing.conformance import network as suite

pytestmark = pytest.mark.machine

POOL = test_host.POOL.name


async def given(settings: cni.Settings, namespace: str, name: str) -> str | None:
    """What the IPAM plug-in says, called as the bridge plug-in calls it."""
    environment = {
        "CNI_COMMAND": "ADD",
        "CNI_ARGS": f"IgnoreUnknown=1;K8S_POD_NAMESPACE={namespace};K8S_POD_NAME={name};K8S_POD_UID=u",
        "PATH": os.environ["PATH"],
    }
    process = await asyncio.create_subprocess_exec(
        settings.bin / "boxfleet-ipam", env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    output = json.loads((await process.communicate())[0])
    if process.returncode != 0:
        assert output["code"] == 11
        return None
    assert output["routes"] == [{"dst": "0.0.0.0/0"}]
    address, _, prefix = output["ips"][0]["address"].partition("/")
    assert (prefix, output["ips"][0]["gateway"]) == ("24", test_host.POOL.gateway)
    return str(address)


class TestCni(suite.NetworkConformance):
    """All that the port promises, on a network of its own."""

    @pytest.fixture
    async def bed(self, short_dir: pathlib.Path) -> AsyncIterator[suite.NetworkBed]:
        bare = test_host.Host()
        bare.connect()
        settings = cni.Settings(folder=short_dir / "network", space=bare.space)
        driver = cni.Network(settings)

        async def ask(namespace: str, name: str) -> str | None:
            return await given(settings, namespace, name)

        try:
            yield suite.NetworkBed(
                driver=driver, pool=test_host.POOL, addresses=("198.18.0.10", "198.18.0.11"), given=ask
            )
            await driver.remove()
            assert bare.leftovers() == []
            assert not settings.folder.exists()
        finally:
            bare.destroy()


class Fleet:
    """Sandboxes with servers, on the module's host."""

    def __init__(self, host: test_host.Host, drivers: test_host.Drivers) -> None:
        self.host, self.drivers = host, drivers
        self.engine = drivers.containerd.runtime

    @contextlib.asynccontextmanager
    async def served(
        self, name: str, address: str, *, ports: list[runtime.PortMapping] | None = None
    ) -> AsyncIterator[str]:
        """A sandbox with a server on port 80; yields the container's id."""
        await self.drivers.network.assign(namespace="ns", name=name, address=address, pool=POOL)
        config = runtime.SandboxConfig(
            name=name,
            namespace="ns",
            uid=name,
            log_directory=str(self.host.logs / name),
            ports=ports or [],
            cgroup_parent=self.host.cgroup,
        )
        sandbox_id = await self.engine.run_sandbox(config)
        try:
            assert (await self.engine.sandbox_status(sandbox_id)).ip == address
            container = runtime.ContainerConfig(name="main", image=tools.IMAGE, command=tools.server(80))
            container_id = await self.engine.create_container(sandbox_id, container, config)
            await self.engine.start_container(container_id)
            yield container_id
        finally:
            await self.engine.stop_sandbox(sandbox_id)
            await self.engine.remove_sandbox(sandbox_id)

    def curl(self, url: str) -> str:
        """What the host gets; tries again while the server starts."""
        return self.host.inside(
            "curl", "-sS", "--retry", "20", "--retry-connrefused", "--retry-delay", "1", url
        ).strip()

    async def asks(self, container_id: str, address: str, port: int = 80) -> str:
        """What a container gets."""
        async with asyncio.timeout(20):
            while True:
                result = await self.engine.exec_sync(container_id, tools.client(address, port), timeout=10)
                if result.exit_code == 0:
                    return result.stdout.decode().strip()
                await asyncio.sleep(0.1)


@pytest.fixture
def fleet(host: test_host.Host, drivers: test_host.Drivers) -> Fleet:
    return Fleet(host, drivers)


@pytest.mark.anyio
async def test_everyone_reaches_everyone_under_the_right_address(fleet: Fleet) -> None:
    async with fleet.served("a", "198.18.0.20") as a, fleet.served("b", "198.18.0.21") as b:
        assert fleet.curl("http://198.18.0.20") == test_host.POOL.gateway
        assert await fleet.asks(a, "198.18.0.21") == "198.18.0.20"
        assert await fleet.asks(b, "198.18.0.20") == "198.18.0.21"


@pytest.mark.anyio
async def test_instances_reach_the_world_outside_as_the_host(fleet: Fleet) -> None:
    perl = await fleet.host.outside_server(*tools.server(8000))
    try:
        async with fleet.served("a", "198.18.0.22") as a:
            assert await fleet.asks(a, test_host.OUTSIDE_ADDRESS, 8000) == test_host.HOST_ADDRESS
    finally:
        perl.kill()
        await perl.wait()


@pytest.mark.anyio
async def test_a_port_of_the_host_leads_inside(fleet: Fleet) -> None:
    ports = [runtime.PortMapping(container_port=80, host_port=8088)]
    async with fleet.served("a", "198.18.0.23", ports=ports) as a:
        assert fleet.curl(f"http://{test_host.HOST_ADDRESS}:8088")
        assert fleet.curl("http://127.0.0.1:8088")
        # Also from within, to itself.
        assert await fleet.asks(a, test_host.HOST_ADDRESS, 8088)
    assert "8088" not in fleet.host.inside("iptables-save")


@pytest.mark.anyio
async def test_instances_do_not_reach_what_listens_for_the_host_alone(fleet: Fleet) -> None:
    """A port of the host opens the bridge for packets to 127.0.0.0/8; a forger beside it sends such packets."""
    forger, bridge = f"{fleet.host.name}-f", test_host.POOL.bridge
    ports = [runtime.PortMapping(container_port=80, host_port=8089)]
    listener = await asyncio.create_subprocess_exec(
        "nsenter", f"--net={fleet.host.space}", sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "8090",
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=fleet.host.logs.parent,
    )  # fmt: skip
    subprocess.run(["ip", "netns", "add", forger], check=True)
    try:
        for words in (
            f"ip -n {fleet.host.name} link add forger0 master {bridge} type veth peer eth0 netns {forger}",
            f"ip -n {fleet.host.name} link set forger0 up",
            f"ip -n {forger} address add 198.18.0.99/24 dev eth0",
            f"ip -n {forger} link set eth0 up",
            f"nsenter --net=/run/netns/{forger} sysctl -qw net.ipv4.conf.all.route_localnet=1",
            f"ip -n {forger} route add 127.0.0.0/8 via {test_host.POOL.gateway} dev eth0",
        ):
            subprocess.run(words.split(), check=True)

        async def reaches(url: str) -> bool:
            curl = ("nsenter", f"--net=/run/netns/{forger}", "curl", "-s", "-o", "/dev/null", "--max-time", "2", url)
            return await (await asyncio.create_subprocess_exec(*curl)).wait() == 0

        async with fleet.served("a", "198.18.0.26", ports=ports):
            assert fleet.curl("http://127.0.0.1:8090")
            assert not await reaches("http://127.0.0.1:8090")
            # It is the rule that does it, and what is meant to work does.
            assert fleet.curl("http://127.0.0.1:8089")
            assert await reaches("http://198.18.0.26")
            fleet.host.inside("iptables", "-F", "INPUT")
            assert await reaches("http://127.0.0.1:8090")
    finally:
        listener.kill()
        await listener.wait()
        subprocess.run(["ip", "netns", "delete", forger], check=True)
        await fleet.drivers.network.prepare([test_host.POOL])


@pytest.mark.anyio
async def test_an_address_stays_with_its_name(fleet: Fleet) -> None:
    async with fleet.served("a", "198.18.0.24"), fleet.served("b", "198.18.0.25") as b:
        pass
    async with fleet.served("b", "198.18.0.25") as b:
        async with fleet.served("a", "198.18.0.24"):
            assert await fleet.asks(b, "198.18.0.24") == "198.18.0.25"
        # Made anew with another hardware address, it answers its neighbours and the host at once.
        async with fleet.served("a", "198.18.0.24"):
            assert await fleet.asks(b, "198.18.0.24") == "198.18.0.25"
            assert fleet.curl("http://198.18.0.24") == test_host.POOL.gateway


@pytest.mark.anyio
async def test_a_sandbox_without_an_address_says_why(fleet: Fleet) -> None:
    await fleet.drivers.network.unassign(namespace="ns", name="nobody")
    config = runtime.SandboxConfig(name="nobody", namespace="ns", uid="u", cgroup_parent=fleet.host.cgroup)
    with pytest.raises(runtime.RuntimeFault, match="no address is assigned to ns/nobody"):
        await fleet.engine.run_sandbox(config)
    for sandbox in await fleet.engine.list_sandboxes():
        if sandbox.name == "nobody":
            await fleet.engine.remove_sandbox(sandbox.id)


@pytest.mark.anyio
async def test_a_range_that_the_host_uses_is_refused(fleet: Fleet) -> None:
    taken = network.PoolNetwork(name="taken", cidr="192.0.0.0/16", gateway="192.0.0.1", bridge="bftaken0")
    with pytest.raises(network.NetworkFault, match=r"overlaps with 192\.0\.2\.0/24 on up0"):
        await cni.Network(fleet.host.cni_settings).prepare([taken])


@pytest.mark.anyio
async def test_rules_are_made_again_when_they_are_lost(fleet: Fleet) -> None:
    before = sorted(line for line in fleet.host.inside("iptables-save").splitlines() if "boxfleet bfdrv0" in line)
    assert len(before) == 4
    fleet.host.inside("iptables", "-t", "nat", "-F", "POSTROUTING")
    fleet.host.inside("iptables", "-F", "FORWARD")
    fleet.host.inside("iptables", "-F", "INPUT")
    await fleet.drivers.network.prepare([test_host.POOL])
    after = sorted(line for line in fleet.host.inside("iptables-save").splitlines() if "boxfleet bfdrv0" in line)
    assert after == before


@pytest.mark.anyio
async def test_what_is_lost_by_force_is_swept_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instances with ports of the host run while containerd and its metadata are destroyed: nothing may stay."""
    monkeypatch.setattr(daemon, "_START", 3.0)
    host = test_host.Host()
    try:
        await host.start()
        async with host.drivers() as drivers:
            await drivers.network.prepare([test_host.POOL])
            fleet = Fleet(host, drivers)
            with contextlib.suppress(runtime.RuntimeFault):
                ports = [runtime.PortMapping(container_port=80, host_port=8089)]
                async with fleet.served("a", "198.18.0.20", ports=ports):
                    assert fleet.curl("http://198.18.0.20")
                    pid = drivers.containerd.pid
                    assert pid is not None
                    os.kill(pid, 9)
                    metadata = drivers.containerd.settings.root / "io.containerd.metadata.v1.bolt" / "meta.db"
                    metadata.write_bytes(b"broken")
    finally:
        await host.purge()
        left = host.leftovers()
        host.destroy()
    assert left == []


@pytest.mark.anyio
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
@pytest.mark.parametrize("forwarding", ["0", "1"])
async def test_the_last_of_several_leaves_the_host_as_it_was(
    short_dir: pathlib.Path, order: tuple[int, ...], forwarding: str
) -> None:
    """Several networks on one host, gone in any order: forwarding and packet rules' tables are as before."""
    bare = test_host.Host()
    bare.connect()
    try:
        bare.inside("sysctl", "-qw", f"net.ipv4.ip_forward={forwarding}")
        bare.inside("iptables", "-I", "OUTPUT", "-j", "ACCEPT")
        before = bare.inside("nft", "--stateless", "list", "ruleset")
        drivers = []
        for at in range(3):
            driver = cni.Network(cni.Settings(folder=short_dir / str(at), space=bare.space))
            cidr = f"198.18.{at}.0/24"
            await driver.prepare(
                [network.PoolNetwork(name="default", cidr=cidr, gateway=f"198.18.{at}.1", bridge=f"bfdrv{at}")]
            )
            drivers.append(driver)
        for at in order:
            assert bare.inside("sysctl", "-n", "net.ipv4.ip_forward").strip() == "1"
            await drivers[at].remove()
        assert bare.inside("sysctl", "-n", "net.ipv4.ip_forward").strip() == forwarding
        assert bare.inside("nft", "--stateless", "list", "ruleset") == before
        assert not pathlib.Path(f"/run/boxfleet-host-{bare.space.stat().st_ino}.json").exists()
    finally:
        bare.destroy()


@pytest.mark.anyio
async def test_a_bridge_whose_files_are_lost_goes_unless_it_is_used_or_not_ours(short_dir: pathlib.Path) -> None:
    bare = test_host.Host()
    bare.connect()
    try:
        bare.inside("sysctl", "-qw", "net.ipv4.ip_forward=0")
        before = bare.inside("nft", "--stateless", "list", "ruleset")
        await cni.Network(cni.Settings(folder=short_dir / "lost", space=bare.space)).prepare([test_host.POOL])
        other = cni.Network(cni.Settings(folder=short_dir / "other", space=bare.space))
        bare.inside("ip", "link", "add", "foreign0", "type", "bridge")
        assert "foreign0" in await other.remove_lost("foreign0")
        assert await other.remove_lost("nowhere0") == ""
        bridge = test_host.POOL.bridge
        bare.inside("ip", "link", "add", "used0", "type", "veth", "peer", "name", "used1")
        bare.inside("ip", "link", "set", "used0", "master", bridge)
        assert f"the bridge {bridge}" in await other.remove_lost(bridge)
        bare.inside("ip", "link", "delete", "used0")
        for _ in range(2):
            assert await other.remove_lost(bridge) == ""
        assert bridge not in bare.inside("ip", "link")
        assert "foreign0" in bare.inside("ip", "link")
        assert bare.inside("nft", "--stateless", "list", "ruleset") == before
        assert bare.inside("sysctl", "-n", "net.ipv4.ip_forward").strip() == "0"
        assert not pathlib.Path(f"/run/boxfleet-host-{bare.space.stat().st_ino}.json").exists()
    finally:
        bare.destroy()


def test_the_plug_in_refuses_tricks(tmp_path: pathlib.Path) -> None:
    """A name that leads elsewhere is refused before a file is touched."""
    source = pathlib.Path(sys.modules[cni.__name__].__file__ or "").with_name("boxfleet-ipam.sh")
    tmp_path.joinpath("secret").write_text("{}")
    for names in (
        "K8S_POD_NAMESPACE=..;K8S_POD_NAME=secret",
        "K8S_POD_NAMESPACE=a;K8S_POD_NAME=b/../c",
        "",
        "K8S_POD_NAME=a",
    ):
        done = subprocess.run(["sh", source], env={"CNI_COMMAND": "ADD", "CNI_ARGS": names}, capture_output=True)
        assert done.returncode == 1
        assert json.loads(done.stdout)["code"] == 4


@pytest.mark.parametrize(("command", "status"), [("DEL", 0), ("CHECK", 0), ("VERSION", 0), ("OTHER", 1)])
def test_the_plug_in_answers_every_command(command: str, status: int) -> None:
    source = pathlib.Path(sys.modules[cni.__name__].__file__ or "").with_name("boxfleet-ipam.sh")
    done = subprocess.run(["sh", source], env={"CNI_COMMAND": command}, capture_output=True)
    assert done.returncode == status
    if done.stdout:
        assert json.loads(done.stdout)["cniVersion"] == "0.4.0"
