"""Recorded sessions: what is in them, who is recorded, who may end it, and playing them."""

import contextlib
import json
import os
import pathlib
import stat
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from tests.unit.apiserver import streams_bed as beds

from boxfleet.apiserver import authn, faults, route
from boxfleet.apiserver.audit import auditor, journal, sessions
from boxfleet.app import settings
from boxfleet.cli import faults as cli_faults
from boxfleet.cli import replay
from boxfleet.kit import clock
from boxfleet.testing import server

pytestmark = pytest.mark.anyio

EXEC = beds.POD_URL + "/exec?stdout=true"


def events(folder: pathlib.Path) -> tuple[dict[str, Any], list[list[Any]]]:
    path = folder / f"{beds.RECORDING}.cast"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    head, *rest = [json.loads(line) for line in path.read_bytes().splitlines()]
    return head, rest


async def ended(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    status: dict[str, Any] = {}
    async for message in socket:
        if message.data[0] == 3:
            status = json.loads(message.data[1:])
    return status


async def test_a_session_with_a_terminal_has_what_was_seen(tmp_path: pathlib.Path) -> None:
    kept = sessions.Sessions(tmp_path / "s", clock=clock.SystemClock())
    async with beds.bed(tmp_path, sessions=kept) as bed:
        path = f"{EXEC}&stdin=true&tty=true&command=sh&command=-c&command=read a; echo got $a"
        async with bed.websocket(path) as user:
            await user.send_bytes(b'\x04{"Width":120,"Height":40}')
            await user.send_bytes(b"\0hunter2\n")
            assert (await ended(user))["status"] == "Success"
    head, found = events(tmp_path / "s")
    assert (head["version"], head["width"], head["height"]) == (2, 80, 24)
    assert head["title"] == "admin in default/p main: sh -c read a; echo got $a"
    assert [each[1:] for each in found] == [["r", "120x40"], ["o", "got hunter2\n"]]
    assert found == sorted(found)


async def test_a_session_without_a_terminal_has_what_was_sent(tmp_path: pathlib.Path) -> None:
    kept = sessions.Sessions(tmp_path / "s", clock=clock.SystemClock())
    async with beds.bed(tmp_path, sessions=kept) as bed, bed.websocket(f"{EXEC}&stdin=true&command=cat") as user:
        await user.send_bytes(b"\0caf\xc3")
        await user.send_bytes(b"\0\xa9")
        await user.send_bytes(bytes([255, 0]))
        await ended(user)
    _, found = events(tmp_path / "s")
    assert "".join(text for _, code, text in found if code == "i") == "café"
    assert "".join(text for _, code, text in found if code == "o") == "café"


async def test_a_session_that_cannot_be_recorded_does_not_begin(tmp_path: pathlib.Path) -> None:
    (tmp_path / "s").write_text("in the way")
    kept = sessions.Sessions(tmp_path / "s", clock=clock.SystemClock())
    async with beds.bed(tmp_path, sessions=kept) as bed:
        with pytest.raises(aiohttp.WSServerHandshakeError) as raised:
            await bed.websocket(f"{EXEC}&stdin=true&command=cat")
        assert raised.value.status == 503
        assert not bed.engine.sessions


async def test_a_recording_that_fails_ends_the_session(tmp_path: pathlib.Path) -> None:
    class Full(sessions.Sessions):
        def begin(self, name: str, **about: Any) -> sessions.Recording:
            made = super().begin(name, **about)
            # What every write to this device says is that the disk is full.
            full = os.open("/dev/full", os.O_WRONLY)
            os.dup2(full, made._handle)
            os.close(full)
            return made

    kept = Full(tmp_path / "s", clock=clock.SystemClock())
    async with beds.bed(tmp_path, sessions=kept) as bed, bed.websocket(f"{EXEC}&stdin=true&command=cat") as user:
        await user.send_bytes(b"\0secret work\n")
        status = await ended(user)
    assert status["code"] == 503
    assert "No space left on device" in status["message"]


def test_long_input_is_left_out_from_some_point(tmp_path: pathlib.Path) -> None:
    kept = sessions.Sessions(tmp_path, clock=clock.SystemClock())
    recording = kept.begin(beds.RECORDING, title="t", user="u", tty=False)
    for _ in range(40):
        recording.input(b"x" * 65536)
    recording.end()
    _, found = events(tmp_path)
    assert sum(len(text) for _, code, text in found if code == "i") == 2**20
    assert found[-1][1:] == ["m", "input after 1048576 bytes is not recorded"]


@contextlib.asynccontextmanager
async def audited(folder: pathlib.Path) -> AsyncIterator[tuple[server.Api, auditor.Auditor]]:
    kept = sessions.Sessions(folder / "audit" / "sessions", clock=clock.SystemClock())
    book = journal.Journal(folder / "audit", server="one", clock=clock.SystemClock(), sessions=kept)
    made = auditor.Auditor(book, server="one", sessions=kept)
    book.start()
    async with server.running(folder, audit=made) as api:
        yield api, made
    await book.stop()


def call(api: server.Api, query: dict[str, list[str]], *, namespace: str = "shop") -> route.Call:
    path = "/api/v1/namespaces/{namespace}/pods/{name}/exec"
    found = next(each for each in api.app.routes if each.path == path and each.method == route.WEBSOCKET)
    unused: Any = None
    return route.Call(
        method=route.WEBSOCKET,
        path=path,
        params={"namespace": namespace, "name": "a"},
        query=query,
        headers={},
        user=authn.User(name="jane"),
        scope={},
        receive=unused,
        send=unused,
        route=found,
        audit_id="the-id",
    )


async def test_the_label_of_a_namespace_decides(tmp_path: pathlib.Path) -> None:
    async with audited(tmp_path) as (api, made):
        labels = {"boxfleet.dev/record-sessions": "true"}
        body = {"metadata": {"name": "shop", "labels": labels}}
        assert (await server.send(api.app, "POST", "/api/v1/namespaces", body)).status == 201
        for query, recorded in (({"stdin": ["true"]}, True), ({"tty": ["1"]}, True), ({"stdin": ["false"]}, False)):
            one = call(api, query)
            begun = made.admit(one)
            assert begun is not None
            await begun
            assert bool(one.recording) is recorded
        other = call(api, {"stdin": ["true"]}, namespace="default")
        begun = made.admit(other)
        assert begun is not None
        await begun
        assert not other.recording
    lines = [json.loads(line) for line in (tmp_path / "audit" / "one.jsonl").read_bytes().splitlines()]
    assert lines[-4]["stage"] == "ResponseStarted"
    assert lines[-4]["annotations"]["boxfleet.dev/recording"] == "the-id"


async def test_who_may_change_namespaces_may_not_end_their_recording(tmp_path: pathlib.Path) -> None:
    async with audited(tmp_path) as (api, _):
        rules = [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["*"]}]
        group = {"apiGroup": "rbac.authorization.k8s.io"}
        role = {"metadata": {"name": "keeper"}, "rules": rules}
        binding = {
            "metadata": {"name": "keeper"},
            "roleRef": group | {"kind": "ClusterRole", "name": "keeper"},
            "subjects": [group | {"kind": "User", "name": "kim"}],
        }
        rbac = "/apis/rbac.authorization.k8s.io/v1"
        assert (await server.send(api.app, "POST", f"{rbac}/clusterroles", role)).status == 201
        assert (await server.send(api.app, "POST", f"{rbac}/clusterrolebindings", binding)).status == 201
        kim = {"impersonate-user": "kim"}
        body: dict[str, Any] = {"metadata": {"name": "shop"}}
        assert (await server.send(api.app, "POST", "/api/v1/namespaces", body, headers=kim)).status == 201

        async def mark(value: str | None, headers: dict[str, str]) -> server.Reply:
            patch = {"metadata": {"labels": {"boxfleet.dev/record-sessions": value}}}
            kind = {"content-type": "application/merge-patch+json"}
            return await server.send(api.app, "PATCH", "/api/v1/namespaces/shop", patch, headers=kind | headers)

        assert (await mark("true", kim)).status == 200
        for value in ("false", None):
            refused = await mark(value, kim)
            assert refused.status == 403
            assert 'cannot update resource "namespaces/recording"' in refused.json["message"]
        assert (await mark(None, {})).status == 200


def test_a_recording_is_played(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = sessions.Sessions(tmp_path / "audit" / "sessions", clock=clock.SystemClock())
    recording = kept.begin("one", title="t", user="u", tty=True)
    recording.output(b"$ ls\r\n")
    recording.remark("the end")
    recording.end()
    known = settings.All(state=str(tmp_path))
    assert replay.run(known, "one", longest=0.0) == 0
    assert capsys.readouterr().out == "$ ls\r\n\r\n--- the end ---\r\n"
    for name in ("two", "../one", ""):
        with pytest.raises(cli_faults.CommandFailed, match="there is no recording"):
            replay.run(known, name, longest=0.0)
    with pytest.raises(faults.Fault, match="cannot be written"):
        kept.begin("one", title="t", user="u", tty=True)
    assert kept.clear(older_than=3600) == []
    assert [path.name for path in kept.clear(older_than=-1)] == ["one.cast"]
