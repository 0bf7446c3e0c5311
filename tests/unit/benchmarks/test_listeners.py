"""Watchers in a process of their own, on a real server."""

import pathlib

import pytest
from benchmarks import listeners, serving, watch, wrk

from boxfleet.testing import server

pytestmark = pytest.mark.anyio


async def test_every_watcher_hears_every_write(tmp_path: pathlib.Path) -> None:
    async with server.running(tmp_path) as api, server.on_socket(api, tmp_path) as socket:
        side = serving.Side(
            target=wrk.Target(url=socket.url, token=server.ADMIN_TOKEN, processes=[]), ca_file=socket.ca_file
        )
        async with serving.asking(side) as caller:
            await watch.fill(caller, range(3))
            heard = await watch.delivery(side, caller, watchers=2, rate=1000, writes=6, objects=3)
        assert (heard.open, heard.events) == (2, 12)
        assert 0 < heard.median <= heard.p99 <= heard.most
        async with watch.listening(side) as ears:
            assert await ears.open([watch.of_node(1), watch.of_node(2)]) == 2
            with pytest.raises(RuntimeError, match="only 0 of 1"):
                await ears.hear(1, seconds=0.0)


def test_a_process_has_fewer_connections_than_descriptors() -> None:
    assert listeners.limit() > 0
