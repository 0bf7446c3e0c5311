"""Several versions of a custom kind: by the strategy None, and by a webhook over HTTPS."""

import base64
import contextlib
import pathlib
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from aiohttp import web
from tests.unit.apiserver.custom import crontab

from boxfleet.client import inprocess
from boxfleet.testing import server

pytestmark = pytest.mark.anyio

OLD = crontab.TABS.replace("/v1/", "/v1beta1/")
TEXT = {"type": "string"}


def schema(**fields: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"spec": {"type": "object", "properties": fields}}}


def stored_versions(api: server.Api) -> list[str]:
    objects = [msgspec.json.decode(row.value) for row in api.store.range("/stable.example.com/")]
    return [obj["apiVersion"].rpartition("/")[2] for obj in objects]


async def test_strategy_none(api: server.Api) -> None:
    old = crontab.version(
        "v1beta1", storage=False, deprecated=True, schema=schema(both=TEXT, old={**TEXT, "default": "o"})
    )
    new = crontab.version(schema=schema(both=TEXT, new={**TEXT, "default": "n"}))
    crd = await crontab.established(api, crontab.definition(new, old))
    made = await crontab.made(api, {"metadata": {"name": "a"}, "spec": {"both": "x", "old": "lost"}}, OLD)
    assert made["apiVersion"] == "stable.example.com/v1beta1"
    assert made["spec"] == {"both": "x", "old": "lost"}
    found = (await server.send(api.app, "GET", f"{crontab.TABS}/a")).json
    assert (found["apiVersion"], found["spec"]) == (
        "stable.example.com/v1", {"both": "x", "new": "n"},
    )  # fmt: skip
    reply = await server.send(api.app, "GET", OLD)
    assert reply.json["items"][0]["spec"] == {"both": "x", "old": "o"}
    warning = "stable.example.com/v1beta1 CronTab is deprecated; use stable.example.com/v1 CronTab"
    assert dict(reply.headers)["warning"] == f'299 - "{warning}"'
    # The other version becomes the stored one; what is stored stays, and is known to be there.
    crd["spec"]["versions"][0]["storage"], crd["spec"]["versions"][1]["storage"] = False, True
    crd = (await server.send(api.app, "PUT", f"{crontab.CRDS}/{crontab.NAME}", crd)).json
    assert crd["status"]["storedVersions"] == ["v1", "v1beta1"]
    await crontab.made(api, {"metadata": {"name": "b"}, "spec": {"both": "y"}})
    assert stored_versions(api) == ["v1", "v1beta1"]
    listed = (await server.send(api.app, "GET", crontab.TABS)).json["items"]
    assert [(each["apiVersion"], each["spec"]["both"]) for each in listed] == [
        ("stable.example.com/v1", "x"), ("stable.example.com/v1", "y"),
    ]  # fmt: skip
    reply = await server.send(api.app, "PATCH", f"{crontab.TABS}/a", {"spec": {"both": "z"}}, headers=crontab.MERGE)
    assert reply.json["spec"]["both"] == "z"
    assert stored_versions(api) == ["v1beta1", "v1beta1"]


class Hook:
    """Renames spec.old to spec.new and back."""

    def __init__(self, url: str, bundle: str) -> None:
        self.url, self.bundle = url, bundle
        self.reviews: list[dict[str, Any]] = []
        self.answer: Callable[[dict[str, Any]], dict[str, Any]] = self.convert

    def convert(self, request: dict[str, Any]) -> dict[str, Any]:
        source, target = ("old", "new") if request["desiredAPIVersion"].endswith("/v1") else ("new", "old")
        objects = request["objects"]
        for obj in objects:
            obj["apiVersion"] = request["desiredAPIVersion"]
            obj["spec"][target] = obj["spec"].pop(source)
        return {"uid": request["uid"], "result": {"status": "Success"}, "convertedObjects": objects}

    async def handle(self, request: web.Request) -> web.Response:
        review = msgspec.json.decode(await request.read())
        self.reviews.append(review)
        answer = {"kind": "ConversionReview", "apiVersion": "apiextensions.k8s.io/v1"}
        answer["response"] = self.answer(review["request"])  # type: ignore[assignment]
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")


@pytest.fixture
async def hook(tmp_path: pathlib.Path, anyio_backend: str) -> AsyncIterator[Hook]:
    certificate, key = server.self_signed(tmp_path)
    found = Hook("", base64.b64encode(certificate.read_bytes()).decode())
    app = web.Application()
    app.router.add_post("/convert", found.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    found.url = f"https://127.0.0.1:{runner.addresses[0][1]}/convert"
    try:
        yield found
    finally:
        await runner.cleanup()


async def _established(api: server.Api, hook: Hook) -> None:
    webhook = {"conversionReviewVersions": ["v1"], "clientConfig": {"url": hook.url, "caBundle": hook.bundle}}
    versions = [
        crontab.version("v1beta1", storage=False, schema=schema(old=TEXT)),
        crontab.version(schema=schema(new=TEXT)),
    ]
    crd = crontab.definition(*versions, conversion={"strategy": "Webhook", "webhook": webhook})
    await crontab.established(api, crd)


async def test_a_webhook_converts(api: server.Api, hook: Hook) -> None:
    await _established(api, hook)
    made = await crontab.made(api, {"metadata": {"name": "a", "labels": {"l": "1"}}, "spec": {"old": "x"}}, OLD)
    assert (made["apiVersion"], made["spec"]) == ("stable.example.com/v1beta1", {"old": "x"})
    found = (await server.send(api.app, "GET", f"{crontab.TABS}/a")).json
    assert (found["spec"], found["metadata"]) == ({"new": "x"}, made["metadata"])
    for number in range(5):
        await crontab.made(api, {"metadata": {"name": f"b{number}"}, "spec": {"new": "y"}})
    before = len(hook.reviews)
    for _ in range(2):
        listed = (await server.send(api.app, "GET", OLD)).json["items"]
        assert [each["spec"] for each in listed] == [{"old": "x"}, *[{"old": "y"}] * 5]
    # All in one question, and asked once.
    assert len(hook.reviews) == before + 1
    change = {"spec": {"old": "z"}}
    reply = await server.send(api.app, "PATCH", f"{OLD}/a", change, headers=crontab.MERGE)
    assert (reply.status, reply.json["spec"]) == (200, {"old": "z"})
    lines = inprocess.InProcess(api.app, token=server.ADMIN_TOKEN).lines(
        OLD, query={"watch": "1", "labelSelector": "l"}
    )
    async with contextlib.aclosing(lines):
        first = msgspec.json.decode(await anext(lines))
        await server.send(api.app, "PATCH", f"{crontab.TABS}/a", {"spec": {"new": "w"}}, headers=crontab.MERGE)
        second = msgspec.json.decode(await anext(lines))
    assert [event["object"]["spec"] for event in (first, second)] == [{"old": "z"}, {"old": "w"}]
    assert (await server.send(api.app, "DELETE", f"{OLD}/a")).status == 200
    assert (await server.send(api.app, "DELETE", OLD)).status == 200
    assert api.store.range("/stable.example.com/") == []


async def test_a_webhook_that_fails_is_told(api: server.Api, hook: Hook) -> None:
    await _established(api, hook)
    await crontab.made(api, {"metadata": {"name": "a"}, "spec": {"new": "x"}})
    whole = hook.convert
    for answer, why in (
        (lambda request: {"uid": request["uid"], "result": {"status": "Failed", "message": "not today"}}, "not today"),
        (lambda request: {**whole(request), "uid": "other"}, "another request"),
        (lambda request: {**whole(request), "convertedObjects": []}, "another number"),
        (lambda request: {**whole(request), "convertedObjects": [{"metadata": {"name": "b"}}]}, "was asked for"),
        (lambda request: {"uid": request["uid"], "result": [1]}, "no reason"),
    ):
        hook.answer = answer
        for path in (f"{OLD}/a", OLD):
            reply = await server.send(api.app, "GET", path)
            assert (reply.status, why in reply.json["message"]) == (500, True), reply.body
    # The stored version needs nobody.
    assert (await server.send(api.app, "GET", f"{crontab.TABS}/a")).status == 200


async def test_a_webhook_that_is_not_there(api: server.Api, hook: Hook) -> None:
    hook.url = "https://127.0.0.1:1/convert"
    await _established(api, hook)
    await crontab.made(api, {"metadata": {"name": "a"}, "spec": {"new": "x"}})
    reply = await server.send(api.app, "GET", f"{OLD}/a")
    assert (reply.status, "conversion webhook for crontabs.stable.example.com failed" in reply.json["message"]) == (
        500,
        True,
    )
    reply = await server.send(api.app, "POST", OLD, {"metadata": {"name": "b"}, "spec": {"old": "x"}})
    assert reply.status == 500
    await server.send(api.app, "DELETE", f"{crontab.CRDS}/{crontab.NAME}")
