"""What operators' tools ask: health checks and figures."""

import asyncio
import contextlib
import pathlib

import pytest
from prometheus_client import parser

from boxfleet.api import catalog, config
from boxfleet.apiserver import app as apps
from boxfleet.apiserver import health
from boxfleet.client import errors as client_errors
from boxfleet.store import store as stores
from boxfleet.testing import server

pytestmark = pytest.mark.anyio

PATH = "/api/v1/namespaces/default/configmaps"


async def figures(api: server.Api) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    reply = await server.send(api.app, "GET", "/metrics")
    assert reply.status == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parser.text_string_to_metric_families(reply.body.decode())
        for sample in family.samples
    }


def total(found: dict[tuple[str, frozenset[tuple[str, str]]], float], name: str, **labels: str) -> float:
    wanted = labels.items()
    return sum(value for (known, given), value in found.items() if known == name and wanted <= dict(given).items())


async def test_requests_are_counted_by_verb_kind_and_outcome(tmp_path: pathlib.Path) -> None:
    async with server.running(tmp_path) as api:
        for _ in range(2):
            await server.send(api.app, "POST", PATH, {"metadata": {"name": "a"}})
        await server.send(api.app, "GET", f"{PATH}/a")
        await server.send(api.app, "GET", f"{PATH}/b")
        await server.send(api.app, "GET", PATH)
        await server.send(api.app, "GET", PATH, token="nobody")
        found = await figures(api)
    config_maps = {"group": "", "version": "v1", "resource": "configmaps"}
    assert total(found, "apiserver_request_total", verb="POST", code="201", **config_maps) == 1
    assert total(found, "apiserver_request_total", verb="POST", code="409", **config_maps) == 1
    assert total(found, "apiserver_request_total", verb="GET", code="200", scope="resource", **config_maps) == 1
    assert total(found, "apiserver_request_total", verb="GET", code="404", **config_maps) == 1
    assert total(found, "apiserver_request_total", verb="LIST", scope="namespace", **config_maps) == 1
    assert total(found, "apiserver_request_total", code="401") == 1
    assert total(found, "apiserver_request_duration_seconds_count", verb="POST", **config_maps) == 2
    assert total(found, "apiserver_request_duration_seconds_bucket", verb="POST", le="+Inf", **config_maps) == 2
    assert total(found, "apiserver_current_inflight_requests", request_kind="mutating") == 0
    # The one that asks for the figures.
    assert total(found, "apiserver_current_inflight_requests", request_kind="readOnly") == 1
    assert total(found, "apiserver_storage_objects", resource="configmaps") == 1
    assert total(found, "boxfleet_store_revision") == api.store.revision
    assert total(found, "boxfleet_store_waiting_writes") == 0
    assert total(found, "boxfleet_store_write_duration_seconds_count") >= 1
    assert total(found, "process_resident_memory_bytes") > 1e6


async def test_a_watch_is_counted_while_it_lasts(tmp_path: pathlib.Path) -> None:
    async with server.running(tmp_path) as api, server.on_socket(api, tmp_path):
        # The server itself watches, too.
        before = total(await figures(api), "apiserver_registered_watchers")
        watching = asyncio.create_task(_watch(api))
        while total(await figures(api), "apiserver_registered_watchers") == before:
            await asyncio.sleep(0)
        assert total(await figures(api), "apiserver_longrunning_requests", verb="WATCH", resource="configmaps") == 1
        api.store.end_watches()
        await watching
        found = await figures(api)
        assert total(found, "apiserver_longrunning_requests", verb="WATCH") == 0
        assert total(found, "apiserver_request_total", verb="WATCH", code="200") == 1
        assert total(found, "apiserver_request_duration_seconds_count", verb="WATCH") == 0


async def _watch(api: server.Api) -> None:
    with contextlib.suppress(client_errors.ApiError, OSError):
        async for _ in api.admin.watch(config.ConfigMap, resource_version=str(api.store.revision)):
            continue


async def test_checks_are_named_and_can_be_left_out(tmp_path: pathlib.Path) -> None:
    said = ""

    async def problem() -> str:
        return said

    store = await stores.Store.open(tmp_path / "boxfleet.db")
    app = apps.ApiServer(
        store,
        types=catalog.TYPES,
        authenticators=[server.authenticator()],
        checks=[health.Check(name="leader", problem=problem)],
    )
    try:
        assert (await server.send(app, "GET", "/readyz")).status == 500
        await app.start()
        assert (await server.send(app, "GET", "/readyz")).body == b"ok"
        said = "nobody leads"
        whole = await server.send(app, "GET", "/readyz")
        assert whole.status == 500
        assert (
            whole.body
            == b"[+]ping ok\n[+]server ok\n[+]store ok\n[-]leader failed: nobody leads\nreadyz check failed\n"
        )
        assert (await server.send(app, "GET", "/readyz/leader")).status == 500
        assert (await server.send(app, "GET", "/readyz/server")).body == b"ok"
        assert (await server.send(app, "GET", "/readyz/other")).status == 404
        left_out = await server.send(app, "GET", "/readyz?verbose&exclude=leader&exclude=other")
        assert left_out.status == 200
        assert b"[+]leader excluded: ok\n" in left_out.body
        assert b"no matches for other" in left_out.body
        assert (await server.send(app, "GET", "/livez?verbose")).body == b"[+]ping ok\nlivez check passed\n"
        assert (await server.send(app, "GET", "/healthz")).status == 500
    finally:
        app.stop()
        await store.close()


async def test_strangers_get_no_figures(tmp_path: pathlib.Path) -> None:
    async with server.running(tmp_path) as api:
        assert (await server.send(api.app, "GET", "/metrics", token="")).status == 401
        assert (await server.send(api.app, "GET", "/metrics", token=server.NODE_TOKEN)).status == 403
