"""Streams of instances that no agent of ours runs: carried out in the server's own process."""

import asyncio
import pathlib

import pytest
from tests.unit.apiserver import streams_bed as beds
from tests.unit.apiserver import test_streams_forward as forwarding
from tests.unit.apiserver import test_streams_logs as logging
from tests.unit.apiserver import test_streams_remote as remoting

from boxfleet.agent.streams import forward, logs, remote
from boxfleet.api import tunnel
from boxfleet.ports import streams

pytestmark = pytest.mark.anyio


class Driver:
    """Somebody who reaches the bed's instance without an agent."""

    def __init__(self, bed: beds.Bed) -> None:
        self._bed = bed
        self.ended = 0
        self.broken = False

    def serves(self, node: str) -> bool:
        return node == beds.NODE

    async def carry_out(self, node: str, order: tunnel.Order, channels: streams.Channels) -> bytes:
        if self.broken:
            raise RuntimeError("a fault of ours")
        engine = self._bed.engine
        try:
            if isinstance(order, tunnel.LogOrder):
                folder = self._bed.logs / f"{order.namespace}_{order.pod}_{order.uid}" / order.container
                return await logs.run(engine, folder, order, channels)  # type: ignore[arg-type]
            if isinstance(order, tunnel.ForwardOrder):
                return await forward.run(engine, order, channels)  # type: ignore[arg-type]
            assert not isinstance(order, tunnel.UsageOrder)
            return await remote.run(engine, order, channels)  # type: ignore[arg-type]
        finally:
            self.ended += 1


def reached(bed: beds.Bed) -> Driver:
    driver = Driver(bed)
    bed.agents.elsewhere = driver
    return driver


async def test_exec_with_input_and_its_exit_code(tmp_path: pathlib.Path) -> None:
    async with beds.bed(tmp_path, agent=False) as bed:
        reached(bed)
        async with bed.websocket(remoting.command("sh", "-c", "cat; exit 3")) as user:
            await user.send_bytes(b"\0hello")
            await user.send_bytes(bytes([255, 0]))
            out, _, status = await remoting.gather(user)
        assert out == b"hello"
        assert status["details"] == {"causes": [{"reason": "ExitCode", "message": "3"}]}


async def test_much_output_waits_for_a_slow_reader(tmp_path: pathlib.Path) -> None:
    async with beds.bed(tmp_path, agent=False) as bed:
        reached(bed)
        size = 0
        async with bed.websocket(remoting.command("head", "-c", "5000000", "/dev/zero")) as user:
            async for message in user:
                size += len(message.data) - 1 if message.data[0] == 1 else 0
        assert size == 5_000_000


async def test_a_user_who_leaves_ends_the_work(tmp_path: pathlib.Path) -> None:
    async with beds.bed(tmp_path, agent=False) as bed:
        driver = reached(bed)
        async with bed.websocket(remoting.command("sleep", "1000")) as user:
            await user.send_bytes(b"\0x")
        async with asyncio.timeout(20):
            while not driver.ended:
                await asyncio.sleep(0.01)


async def test_logs_and_ports(tmp_path: pathlib.Path) -> None:
    (logging.folder(tmp_path) / "0.log").write_text(logging.entry("one") + logging.entry("two"))
    async with beds.bed(tmp_path, agent=False) as bed:
        reached(bed)
        assert await logging.read(bed, "?tailLines=1") == (200, "two\n")
        async with forwarding.upper() as port, bed.websocket(forwarding.PATH, protocol=forwarding.PROTOCOL) as socket:
            user = forwarding.Kubectl(socket)
            error, data = await user.connect(port)
            user.spdy.send(data, b"hello", fin=True)
            await user.flush()
            await user.until_ended(error, data)
            assert user.received[data] == b"HELLO"


async def test_refusals_and_faults_are_told(tmp_path: pathlib.Path) -> None:
    async with beds.bed(tmp_path, agent=False) as bed:
        driver = reached(bed)
        async with bed.websocket(remoting.command("broken")) as user:
            _, _, status = await remoting.gather(user)
        assert status["message"] == "error executing command in container: no such program"
        driver.broken = True
        code, text = await logging.read(bed)
        assert code == 500
        assert "a fault of ours" in text
