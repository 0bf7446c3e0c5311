"""The driver before a server that answers as the test says: watches that end, and answers that make no sense."""

import asyncio
import base64
import contextlib
import datetime
import email.utils
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import yaml
from aiohttp import web

from boxfleet.api import meta
from boxfleet.drivers.kubernetes import cluster as driver
from boxfleet.drivers.kubernetes import connection, kubeconfig, names, settings, survey, view
from boxfleet.ports import cluster
from boxfleet.testing import certificates

pytestmark = pytest.mark.anyio

AUTHORITY = certificates.Authority.make()
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Place:
    """A TLS server that answers everything in one way."""

    def __init__(self) -> None:
        self.answer: Answer = self.nothing
        self.url = ""

    async def nothing(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({})

    async def handle(self, request: web.Request) -> web.StreamResponse:
        return await self.answer(request)

    def says(self, body: Any, *, status: int = 200) -> None:
        async def answer(request: web.Request) -> web.StreamResponse:
            return web.json_response(body, status=status)

        self.answer = answer

    def serves(self, answers: dict[str, Any], *, headers: dict[str, str] | None = None) -> None:
        """Answers by path; 404 for all others."""

        async def answer(request: web.Request) -> web.StreamResponse:
            if request.path not in answers:
                return web.json_response({"kind": "Status", "message": "not found"}, status=404)
            return web.json_response(answers[request.path], headers=headers)

        self.answer = answer

    def kubeconfig(self, url: str = "", *, token: str = "t") -> str:
        data = base64.b64encode(AUTHORITY.certificate_pem).decode()
        return yaml.safe_dump(
            {
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [{"name": "c", "cluster": {"server": url or self.url, "certificate-authority-data": data}}],
                "users": [{"name": "u", "user": {"token": token}}],
            }
        )


@pytest.fixture
async def place(tmp_path: Any) -> AsyncIterator[Place]:
    pair = AUTHORITY.issue("server", addresses=("127.0.0.1",))
    (tmp_path / "pair.pem").write_bytes(pair.certificate_pem + pair.key_pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "pair.pem")
    made = Place()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    made.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()
    await asyncio.sleep(0)


def settled(place: Place, url: str = "") -> driver.Cluster:
    return driver.Cluster(settings.Settings(fleet="f", kubeconfig=place.kubeconfig(url)))


SHARE = cluster.Share(namespace="n", unit="u", box="", ordinals=[], orders={})


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        "text",
        {"items": "x", "metadata": {}},
        {"major": 1, "minor": [], "metadata": None, "items": [{}], "status": "x"},
        {"metadata": {"resourceVersion": "1"}, "items": [{"metadata": {"labels": []}}], "versions": [3]},
    ],
)
async def test_nonsense_is_the_clusters_fault(place: Place, body: Any) -> None:
    place.says(body)
    own = settled(place)
    try:
        for call in (own.check(), own.deliver(SHARE), own.run(lambda _: None), own.usage("h")):
            with pytest.raises(cluster.ClusterFault):
                async with asyncio.timeout(20):
                    await call
        assert not own.synced
    finally:
        await own.close()


@pytest.mark.parametrize(
    ("status", "kind"),
    [(500, cluster.Unreachable), (503, cluster.Unreachable), (429, cluster.Unreachable), (302, cluster.ClusterFault)],
)
async def test_a_cluster_that_fails(place: Place, status: int, kind: type[Exception]) -> None:
    place.says({"kind": "Status", "message": "not today"}, status=status)
    own = settled(place)
    try:
        for call in (own.check(), own.deliver(SHARE), own.withdraw(meta.Key("n", "u")), own.renew("n", "u-0")):
            with pytest.raises(kind, match="not today"):
                await call
    finally:
        await own.close()


async def test_nobody_listens(place: Place) -> None:
    own = settled(place, "https://127.0.0.1:1")
    try:
        with pytest.raises(cluster.Unreachable, match=r"127\.0\.0\.1:1"):
            await own.check()
    finally:
        await own.close()


async def test_no_answer_in_time(place: Place) -> None:
    forever = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        await forever.wait()
        return web.json_response({})

    place.answer = answer
    via = connection.Connection(kubeconfig.parse(place.kubeconfig()))
    try:
        with pytest.raises(cluster.Unreachable, match="no answer in time"):
            await via.call("GET", "/version", timeout=0.1)
    finally:
        forever.set()
        await via.close()


async def test_another_ones_certificate(place: Place) -> None:
    own = driver.Cluster(
        settings.Settings(fleet="f", kubeconfig=place.kubeconfig(place.url.replace("127.0.0.1", "localhost")))
    )
    try:
        with pytest.raises(cluster.Denied, match="does not vouch for"):
            await own.check()
    finally:
        await own.close()


async def test_a_watch_goes_on_where_it_was_and_from_a_new_list_when_it_must(place: Place) -> None:
    asked = []

    def event(type: str, **fields: Any) -> bytes:
        return json.dumps({"type": type, "object": fields}).encode() + b"\n"

    watches = [
        event("ADDED", metadata={"name": "b", "resourceVersion": "6"})
        + event("BOOKMARK", kind="Pod", metadata={"resourceVersion": "9"}),
        event("DELETED", metadata={"name": "a", "resourceVersion": "10"}) + event("ERROR", code=410, message="too old"),
    ]

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request.query.get("resourceVersion", "list"))
        if "watch" in request.query:
            return web.Response(body=watches.pop(0))
        if "continue" in request.query:
            return web.json_response({"metadata": {"resourceVersion": "5"}, "items": [{"metadata": {"name": "z"}}]})
        page = {"metadata": {"resourceVersion": "5", "continue": "more"}, "items": [{"metadata": {"name": "a"}}]}
        return web.json_response(page)

    place.answer = answer
    via = connection.Connection(kubeconfig.parse(place.kubeconfig()))
    heard = []
    async with contextlib.aclosing(view.follow(via, "/api/v1/pods", {})) as changes:
        async for each in changes:
            heard.append((each.whole, each.gone, [one["metadata"]["name"] for one in each.objects]))
            if len(heard) == 4:
                break
    await via.close()
    assert heard == [
        (True, False, ["a", "z"]),
        (False, False, ["b"]),
        (False, True, ["a"]),
        (True, False, ["a", "z"]),
    ]
    assert asked == ["list", "list", "5", "9", "list", "list"]


SCHEMA = {"io.k8s.api.apps.v1.StatefulSetSpec": {"properties": {"ordinals": {}}}}
VERSION = "/version"
POLICY = "/apis/policy"
APPS = "/openapi/v3/apis/apps/v1"


@pytest.mark.parametrize(
    ("minor", "versions", "budgets", "starts"),
    [
        ("20", ["v1beta1"], "v1beta1", False),
        ("24+", ["v1beta1", "v1"], "v1", False),
        # It knows the field, but it is switched off.
        ("26", ["v1"], "v1", False),
        ("27", ["v1"], "v1", True),
        ("36", ["v1"], "v1", True),
    ],
)
async def test_what_a_cluster_knows(place: Place, minor: str, versions: list[str], budgets: str, starts: bool) -> None:
    place.serves(
        {
            VERSION: {"major": "1", "minor": minor},
            POLICY: {"versions": [{"version": each} for each in versions]},
            APPS: {"components": {"schemas": SCHEMA}},
        }
    )
    via = connection.Connection(kubeconfig.parse(place.kubeconfig()))
    found = await survey.server_of(via)
    await via.close()
    assert found.budgets is not None
    assert (found.budgets.version, found.starts) == (budgets, starts)


async def test_a_cluster_without_budgets_and_ordinals(place: Place) -> None:
    place.serves({VERSION: {"major": "1", "minor": "30"}})
    via = connection.Connection(kubeconfig.parse(place.kubeconfig()))
    found = await survey.server_of(via)
    await via.close()
    assert (found.budgets, found.starts) == (None, False)


async def test_clocks_and_credentials_are_looked_at(place: Place) -> None:
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    place.serves(
        {
            VERSION: {"major": "1", "minor": "30", "gitVersion": "v1.30.1"},
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": {"status": {"allowed": True}},
            "/api/v1/nodes": {"metadata": {}, "items": []},
            "/apis/storage.k8s.io/v1/storageclasses": {"metadata": {}, "items": []},
        },
        headers={"Date": email.utils.format_datetime(later, usegmt=True)},
    )
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=2)
    claims = base64.urlsafe_b64encode(json.dumps({"exp": int(soon.timestamp())}).encode()).decode().rstrip("=")
    own = driver.Cluster(settings.Settings(fleet="f", kubeconfig=place.kubeconfig(token=f"h.{claims}.s")))
    report = await own.check()
    await own.close()
    assert report.version == "Kubernetes v1.30.1"
    said = [each.what for each in report.lacks if not each.fatal]
    assert len(said) == len(report.lacks) == 4
    assert said[0].startswith("a default storage class")
    assert said[1].startswith("clocks that agree: the cluster's is 3")
    assert said[2].startswith("credentials that last: they are valid until ")
    assert said[3] == "the kind PodDisruptionBudget"


async def test_usage_from_a_metrics_server(place: Place) -> None:
    pod = {
        "metadata": {
            "name": "db-3-0",
            "namespace": "n",
            "uid": "i",
            "labels": {names.FLEET: "f", "boxfleet.dev/unit": "db", "boxfleet.dev/ordinal": "3"},
        },
        "spec": {"nodeName": "h"},
    }
    usage = {"usage": {"cpu": "250m", "memory": "64Mi"}}
    page = {"metadata": {"resourceVersion": "1"}}
    place.serves(
        {
            "/api/v1/pods": page | {"items": [pod]},
            "/api/v1/nodes": page | {"items": []},
            "/apis/metrics.k8s.io/v1beta1/nodes/h": usage | {"timestamp": "2026-01-01T00:00:00Z", "window": "1m2.5s"},
            "/apis/metrics.k8s.io/v1beta1/pods": {
                "items": [{"metadata": pod["metadata"], "containers": [usage | {"name": "main"}]}]
            },
        }
    )
    own = settled(place)
    heard = asyncio.Event()
    following = asyncio.create_task(own.run(lambda key: heard.set() if key is not None else None))
    async with asyncio.timeout(10):
        await heard.wait()
    report = await own.usage("h")
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    await own.close()
    assert (report.cpu, report.memory, report.seconds) == (0.25, 64 * 2**20, 62.5)
    [one] = report.containers
    assert (one.namespace, one.pod, one.container, one.cpu) == ("n", "db-3", "main", 0.25)
