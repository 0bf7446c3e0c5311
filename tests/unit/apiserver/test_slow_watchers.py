"""Watchers that read slowly or not at all, and many that want little: what they cost."""

import asyncio
import pathlib
import ssl

import pytest

from boxfleet.apiserver import selectors, stalls
from boxfleet.store import alarms, rows, settings
from boxfleet.testing import server

pytestmark = pytest.mark.anyio

MAPS = "/api/v1/namespaces/default/configmaps"


async def _opened(
    socket: server.Socket, path: str, *, accept: str = "application/json"
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A request on a connection of its own, its head read."""
    host, _, port = socket.url.removeprefix("https://").partition(":")
    context = ssl.create_default_context(cafile=socket.ca_file)
    reader, writer = await asyncio.open_connection(host, int(port), ssl=context, limit=64 * 1024)
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.ADMIN_TOKEN}\r\nAccept: {accept}\r\n\r\n"
    writer.write(head.encode())
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


@pytest.mark.parametrize("backlog", [2**20, 2**40])
async def test_who_reads_nothing_is_cut_off(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, backlog: int
) -> None:
    monkeypatch.setattr(stalls, "_STALL_SECONDS", 0.1)
    monkeypatch.setattr(stalls, "_LOOK_EVERY", 0.05)
    small = settings.Settings(watch_backlog_bytes=backlog)
    async with server.running(tmp_path, settings=small) as api, server.on_socket(api, tmp_path) as socket:
        others = api.store.watchers
        _, writer = await _opened(socket, f"{MAPS}?watch=1")
        assert api.store.watchers == others + 1
        try:
            text = "x" * 500_000
            for number in range(60):
                body = {"metadata": {"name": f"x{number}"}, "data": {"k": text}}
                assert (await server.send(api.app, "POST", MAPS, body)).status == 201
            async with asyncio.timeout(20):
                while api.store.watchers > others:
                    await asyncio.sleep(0.01)
                # Nothing is left of its request either.
                while any("Exchange.run" in str(task.get_coro()) for task in asyncio.all_tasks()):
                    await asyncio.sleep(0.01)
        finally:
            writer.transport.abort()


async def test_who_wants_one_field_is_not_woken_by_others(tmp_path: pathlib.Path) -> None:
    async with server.running(tmp_path) as api:
        kind = api.app.registry.kind("pods")
        assert kind is not None
        looked: list[str] = []

        class Counted(rows.Subscription):
            def offer(self, change: rows.Change, *, bounded: bool = True) -> None:
                looked.append(change.key)
                super().offer(change, bounded=bounded)

        selection = selectors.parse(kind, labels="", fields="spec.nodeName=n1")
        one = selectors.parse(kind, labels="", fields="metadata.name=p9,spec.nodeName!=x")
        assert selection.topic is not None
        assert one.topic is not None
        watchers = rows.Watchers()
        for topic in (selection.topic, one.topic):
            watchers.add(
                Counted(
                    prefix="//pods/",
                    after=0,
                    backlog=9,
                    backlog_bytes=999,
                    leave=watchers.discard,
                    alarms=alarms.Alarms(),
                    topic=topic,
                )
            )
        pod = b'{"metadata":{"name":"p%d"},"spec":{"nodeName":"n%d"}}'
        for number in range(5):
            watchers.tell(rows.Change(number + 1, f"//pods/default/p{number}", pod % (number, number), None, 0, False))
        assert looked == ["//pods/default/p1"]
        # Leaving concerns it as much as coming.
        watchers.tell(rows.Change(9, "//pods/default/p1", pod % (1, 7), pod % (1, 1), 2, False))
        watchers.tell(rows.Change(10, "//pods/default/p9", pod % (9, 9), None, 0, False))
        assert looked == ["//pods/default/p1"] * 2 + ["//pods/default/p9"]
        assert len(watchers) == 2
        watchers.close_all()
        assert len(watchers) == 0


async def test_a_change_is_encoded_once_for_each_form(tmp_path: pathlib.Path) -> None:
    forms = {
        "": "application/json",
        "Table": "application/json;as=Table;v=v1;g=meta.k8s.io",
        "PartialObjectMetadata": "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
    }
    async with server.running(tmp_path) as api, server.on_socket(api, tmp_path) as socket:
        subscription = api.store.watch("//configmaps/", after=api.store.revision)
        path = f"{MAPS}?watch=1&resourceVersion={api.store.revision}"
        watches = [await _opened(socket, path, accept=accept) for accept in list(forms.values()) * 3]
        try:
            for name in "ab":
                assert (await server.send(api.app, "POST", MAPS, {"metadata": {"name": name}})).status == 201
            async with asyncio.timeout(20):
                for reader, _ in watches:
                    for name in (b'"a"', b'"b"'):
                        assert name in await reader.readuntil(b"}\n")
        finally:
            for _, writer in watches:
                writer.transport.abort()
        _, second = subscription.take_waiting()
        subscription.close()
        made = [key[1].as_ for key in second.memo if isinstance(key, tuple)]
        assert sorted(made) == sorted(forms)
