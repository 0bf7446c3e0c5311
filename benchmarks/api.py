"""API server: requests per second, latency, lists, watches and memory, over TLS on a durable store.

The load is that of the peer's figures (kube-apiserver 1.34 with etcd 3.5, ConfigMaps): objects of 1 KB, 16 requests
at a time, one client process, server and client on the same cores.
"""

import asyncio
import contextlib
import itertools
import pathlib
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

import msgspec

from boxfleet.client import http
from boxfleet.testing import server

if TYPE_CHECKING:
    from benchmarks import harness

_AT_ONCE = 16
_OBJECTS = 5000
_PATH = "/api/v1/namespaces/default/configmaps"
_MERGE = "application/merge-patch+json"
# What kube-apiserver reached on the machine of the first record; see the peer figures there.
_PEER = {"create": 1160.0, "get": 2385.0, "put": 902.0, "patch": 818.0, "delete": 1299.0}
_PEER_LATENCY = {"create": 11.0}
_PEER_LIST_MS = 84.5
_PEER_WATCH_MS = {1: 3.3, 20: 4.4}
_PEER_MEMORY_MIB = 667.0


async def run(bench: "harness.Bench") -> None:
    """Measure."""
    with tempfile.TemporaryDirectory(prefix="bf-bench-api-") as folder:
        async with _served(pathlib.Path(folder)) as (process, url, ca_file):
            api = http.Http(url, token=server.ADMIN_TOKEN, authority=ca_file)
            try:
                await _measure(bench, api, process.pid)
            finally:
                await api.close()


async def _measure(bench: "harness.Bench", api: http.Http, pid: int) -> None:
    names = [f"bench-{number:05}" for number in range(_OBJECTS)]
    bench.metric("memory, empty", _resident(pid), "MiB")
    bench.say("writing and reading")
    await _rate(bench, "create", names, lambda name: _send(api, "POST", _PATH, _object(name, "1")))
    await _rate(bench, "get", names, lambda name: _send(api, "GET", f"{_PATH}/{name}"))
    await _rate(bench, "put", names[:2000], lambda name: _send(api, "PUT", f"{_PATH}/{name}", _object(name, "2")))
    patch = msgspec.json.encode({"data": {"version": "3"}})
    await _rate(
        bench, "patch", names[:2000], lambda name: _send(api, "PATCH", f"{_PATH}/{name}", patch, content_type=_MERGE)
    )
    bench.say("listing")
    times = []
    for _ in range(10):
        begin = time.perf_counter()
        await _send(api, "GET", _PATH)
        times.append((time.perf_counter() - begin) * 1000)
    bench.samples(f"list {_OBJECTS}", times, "ms", peer=_PEER_LIST_MS)
    for watchers in (1, 20):
        bench.say(f"watching, {watchers} at a time")
        seen = await _watch(api, watchers)
        label = "watcher" if watchers == 1 else "watchers"
        bench.samples(f"watch at 100 writes/s, {watchers} {label}", seen, "ms", peer=_PEER_WATCH_MS[watchers])
    bench.metric(f"memory, {_OBJECTS} objects", _resident(pid), "MiB", peer=_PEER_MEMORY_MIB)
    await _rate(bench, "delete", names, lambda name: _send(api, "DELETE", f"{_PATH}/{name}"))


async def _rate(
    bench: "harness.Bench", verb: str, names: Iterable[str], call: Callable[[str], Awaitable[None]]
) -> None:
    waiting = iter(list(names))
    latencies: list[float] = []

    async def work() -> None:
        for name in waiting:
            begin = time.perf_counter()
            await call(name)
            latencies.append((time.perf_counter() - begin) * 1000)

    begin = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(work())
    took = time.perf_counter() - begin
    bench.metric(verb, len(latencies) / took, "1/s", peer=_PEER[verb])
    bench.samples(verb, latencies, "ms", peer=_PEER_LATENCY.get(verb))


async def _watch(api: http.Http, watchers: int) -> list[float]:
    """Milliseconds from sending a write to hearing of it, for every watcher, at 100 writes a second."""
    listing = msgspec.json.decode((await api.request("GET", _PATH, query={"limit": "1"})).body)
    query = {"watch": "1", "resourceVersion": listing["metadata"]["resourceVersion"]}
    writes = 300
    sent: dict[str, float] = {}
    latencies: list[float] = []

    async def listen() -> None:
        heard = 0
        async with contextlib.aclosing(api.lines(_PATH, query=query)) as lines:
            async for line in lines:
                now = time.perf_counter()
                version = msgspec.json.decode(line)["object"]["data"]["version"]
                latencies.append((now - sent[version]) * 1000)
                heard += 1
                if heard == writes:
                    return

    async with asyncio.TaskGroup() as group:
        for _ in range(watchers):
            group.create_task(listen())
        begin = time.perf_counter()
        for number in itertools.count():
            if number == writes:
                break
            await asyncio.sleep(max(0.0, begin + number / 100 - time.perf_counter()))
            version = f"w{watchers}-{number}"
            patch = msgspec.json.encode({"data": {"version": version}})
            sent[version] = time.perf_counter()
            group.create_task(_send(api, "PATCH", f"{_PATH}/bench-{number:05}", patch, content_type=_MERGE))
    return latencies


async def _send(
    api: http.Http, method: str, path: str, body: bytes = b"", *, content_type: str = "application/json"
) -> None:
    answer = await api.request(method, path, query={}, body=body, content_type=content_type)
    if answer.status >= 400:
        raise RuntimeError(f"{method} {path} answered {answer.status}: {answer.body[:200]!r}")


def _object(name: str, version: str) -> bytes:
    return msgspec.json.encode({"metadata": {"name": name}, "data": {"version": version, "text": "x" * 800}})


def _resident(pid: int) -> float:
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


@contextlib.asynccontextmanager
async def _served(folder: pathlib.Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str, pathlib.Path]]:
    """The server in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, str(folder), stdout=asyncio.subprocess.PIPE, limit=2**20
    )
    try:
        assert process.stdout is not None
        url, ca_file = (await process.stdout.readline()).decode().split()
        yield process, url, pathlib.Path(ca_file)
    finally:
        process.terminate()
        await process.wait()


async def _serve(folder: pathlib.Path) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with server.running(folder) as api, server.on_socket(api, folder) as socket:
        print(socket.url, socket.ca_file, flush=True)
        await stop.wait()


if __name__ == "__main__":
    import uvloop

    uvloop.run(_serve(pathlib.Path(sys.argv[1])))
