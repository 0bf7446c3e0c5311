"""The log has a line for each request that failed by our fault, and no secret."""

import pathlib
from typing import Any

import pytest
from structlog import testing

from boxfleet.apiserver import faults, route
from boxfleet.testing import server

pytestmark = pytest.mark.anyio


async def _breaks(call: route.Call) -> route.Answer:
    raise RuntimeError("unforeseen")


async def _fails(call: route.Call) -> route.Answer:
    raise faults.unavailable("the disk is away")


async def _works(call: route.Call) -> route.Answer:
    return route.Answer()


_ROUTES = [
    route.Route(method="GET", path=path, access=route.Access(verb="get"), handle=handle)
    for path, handle in (("/breaks", _breaks), ("/fails", _fails), ("/works", _works))
]


async def lines(folder: pathlib.Path, path: str) -> tuple[server.Reply, list[Any]]:
    async with server.running(folder, extra_routes=_ROUTES) as api:
        with testing.capture_logs() as found:
            reply = await server.send(api.app, "GET", path)
    return reply, [each for each in found if "audit_id" in each]


async def test_a_failure_is_told_once_with_its_name(tmp_path: pathlib.Path) -> None:
    reply, found = await lines(tmp_path, "/fails?token=hunter2&color=red")
    [line] = found
    assert line["audit_id"] == dict(reply.headers)["audit-id"]
    assert line["cause"] == "the disk is away"
    assert (line["user"], line["verb"], line["code"]) == ("admin", "GET", 503)
    assert line["path"] == "/fails?token=%2A%2A%2A&color=red"
    assert line["milliseconds"] >= 0


async def test_what_nobody_foresaw_is_told_with_where_it_happened(tmp_path: pathlib.Path) -> None:
    reply, found = await lines(tmp_path, "/breaks")
    assert reply.status == 500
    assert "unforeseen" not in reply.body.decode()
    [line] = found
    assert line["exc_info"]
    assert line["audit_id"] == dict(reply.headers)["audit-id"]


async def test_nothing_is_told_of_what_went_well_or_was_refused(tmp_path: pathlib.Path) -> None:
    assert (await lines(tmp_path, "/works"))[1] == []
    assert (await lines(tmp_path, "/none"))[1] == []
