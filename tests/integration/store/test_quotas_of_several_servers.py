"""A quota on several servers over one store: however many write through each, it is never exceeded."""

import asyncio
import contextlib
import pathlib
from typing import Any

import pytest

from boxfleet.api import meta, roles
from boxfleet.client import shared
from boxfleet.controllers.quota import controller
from boxfleet.kit import clock
from boxfleet.store import where
from boxfleet.testing import server

pytestmark = pytest.mark.anyio

QUOTAS = "/api/v1/namespaces/default/resourcequotas"
PODS = "/api/v1/namespaces/default/pods"


def pod(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "m", "image": "i"}]}}


async def test_never_exceeded(url: where.Postgres, tmp_path: pathlib.Path) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    async with contextlib.AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(server.running(each, database=url)) for each in folders]
        first, second = servers
        part = first.part(roles.QUOTA_CONTROLLER)
        counting = controller.QuotaController(part, shared.Caches(part, clock=clock.SystemClock()))
        quota = {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "25"}}}
        assert (await server.send(first.app, "POST", QUOTAS, quota)).status == 201
        await counting.reconcile(meta.Key("default", "q"))
        await second.store.current()
        made: set[str] = set()
        over = 0

        async def write(number: int) -> None:
            nonlocal over
            through = servers[number % 2].app
            for turn in range(6):
                name = f"p-{number}-{turn}"
                reply = await server.send(through, "POST", PODS, pod(name))
                assert reply.status in (201, 403), reply.json
                if reply.status == 201:
                    made.add(name)
                over = max(over, len(made))
                if reply.status == 201 and turn % 3 == 2:
                    gone = await server.send(through, "DELETE", f"{PODS}/{name}", {"gracePeriodSeconds": 0})
                    assert gone.status == 200
                    made.discard(name)

        await asyncio.gather(*(write(number) for number in range(16)))
        assert over <= 25
        for each in servers:
            await each.store.current()
            found = (await server.send(each.app, "GET", f"{QUOTAS}/q")).json["status"]["used"]
            assert found == {"pods": str(len(made))}
            assert each.store.count("//pods/default/") == len(made)
