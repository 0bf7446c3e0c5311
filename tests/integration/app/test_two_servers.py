"""Two server processes on one PostgreSQL: each serves what the other wrote, one leads, and either may die."""

import asyncio
import contextlib
import pathlib

import msgspec
import pytest
from tests.integration.app import servers_bed as beds

from boxfleet.api import box, config, lease, roles, unit
from boxfleet.client import client, errors
from boxfleet.testing import postgres

pytestmark = pytest.mark.anyio
cluster = beds.cluster


async def _says(home: pathlib.Path, words: str) -> bool:
    return words in (home / "log").read_text()


async def _leader(api: client.Client) -> str:
    try:
        found = await api.get(lease.Lease, roles.OFFICE, namespace="kube-system")
    except errors.NotFound:
        return ""
    return found.spec.holderIdentity.partition("_")[0]


async def test_either_serves_one_leads_and_both_may_die(short_dir: pathlib.Path, cluster: postgres.Cluster) -> None:
    homes = [short_dir / "one", short_dir / "two"]
    for home in homes:
        home.mkdir()
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(beds.running(homes[0], cluster.url()))
        second = await stack.enter_async_context(beds.running(homes[1], cluster.url(), like=homes[0]))
        await beds.until(lambda: _is_leader(second.api, "one"))
        for number in range(10):
            writer, reader = (first, second) if number % 2 else (second, first)
            name = f"shared-{number}"
            await writer.api.create_raw(config.ConfigMap, {"metadata": {"name": name, "namespace": "default"}})
            assert (await reader.api.get(config.ConfigMap, name, namespace="default")).metadata.name == name
        await _deliver(second.api, "before")
        await beds.until(lambda: _has_units(second.api, "before"))

        first.kill()
        # Who is left serves on, and leads soon: what is delivered meanwhile is worked off then.
        await _deliver(second.api, "after")
        await beds.until(lambda: _is_leader(second.api, "two"))
        await beds.until(lambda: _has_units(second.api, "after"))
        assert cluster.sql("SELECT max(revision) = count(*) FROM boxfleet.log") == "t"

        cluster.stop()
        with pytest.raises(errors.Unavailable, match="cannot"):
            await second.api.create_raw(config.ConfigMap, {"metadata": {"name": "away", "namespace": "default"}})
        health = await second.api._via.request("GET", "/readyz", query={})
        assert health.status == 500
        assert b"[-]store failed: the database" in health.body
        old = await second.api._via.request(
            "GET", "/api/v1/namespaces/default/configmaps", query={"resourceVersion": "0"}
        )
        assert len(msgspec.json.decode(old.body)["items"]) >= 10
        new = await second.api._via.request("GET", "/api/v1/namespaces/default/configmaps", query={})
        assert new.status == 503
        assert b"s old" in new.body
        # One that starts meanwhile waits for the database, and serves when it is there.
        third = asyncio.create_task(stack.enter_async_context(beds.running(homes[0], cluster.url(), again=True)))
        await beds.until(lambda: _says(homes[0], "waiting for the database"))
        cluster.start()
        await third
        await beds.until(lambda: beds.serves(second.api))
        await beds.until(lambda: _is_leader(second.api, "two"))
        await _deliver(second.api, "again")
        await beds.until(lambda: _has_units(second.api, "again"))


async def _is_leader(api: client.Client, office: str) -> bool:
    with contextlib.suppress(errors.Unavailable):
        return await _leader(api) == office
    return False


async def _deliver(api: client.Client, name: str) -> None:
    container = {"name": "main", "image": "none", "command": ["true"]}
    units = {"main": {"replicas": 1, "template": {"spec": {"containers": [container]}}}}
    await api.create_raw(box.Box, {"metadata": {"name": name, "namespace": "default"}, "spec": {"units": units}})


async def _has_units(api: client.Client, name: str) -> bool:
    with contextlib.suppress(errors.Unavailable):
        found = await api.list(unit.Unit, namespace="default", labels=f"boxfleet.dev/box={name}")
        return bool(found.items)
    return False
