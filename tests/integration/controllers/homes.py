"""The two homes of a control plane: Boxfleet's own API server, and a Kubernetes cluster's."""

import contextlib
import pathlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

from boxfleet.app import hub, hub_controllers, hub_objects
from boxfleet.client import client, http
from boxfleet.testing import server
from boxfleet.testing.kubernetes import server as kubernetes

EMBEDDED, HUB = "embedded", "hub"
# Where beds are made; a fixture says so.
present = EMBEDDED


class Home(Protocol):
    """What a bed needs of it."""

    @property
    def admin(self) -> client.Client:
        """Somebody who may do everything."""

    def part(self, user: str) -> client.Client:
        """One of Boxfleet's own parts."""


class Hub:
    """A kube-apiserver with Kubernetes' own controllers, on which Boxfleet was installed."""

    def __init__(self, running: kubernetes.Server) -> None:
        self._running = running
        self._older: Mapping[str, str] = {}
        self._ways: list[http.Http] = []
        self.admin = self._client("")

    async def install(self) -> None:
        objects = await hub.wanted(self.admin, image="none", replicas=0)
        for each in objects:
            if each["kind"] == "CustomResourceDefinition":
                _let_texts_be_empty(each["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
        await hub.install(self.admin, objects, dry_run=False, force=False, patience=60, told=lambda _: None)
        self._older = await hub_controllers.older_of(self.admin)

    def part(self, user: str) -> client.Client:
        return self._client(hub_objects.user_of(user))

    async def close(self) -> None:
        for each in self._ways:
            await each.close()

    def _client(self, user: str) -> client.Client:
        way = http.Http(
            self._running.url, token=kubernetes.ADMIN_TOKEN, speaking_as=user, authority=self._running.ca_file
        )
        self._ways.append(way)
        return client.Client(way, older=self._older)


def _let_texts_be_empty(schema: dict[str, Any]) -> None:
    """The kube-apiserver that tests build takes an empty text for null; nobody here writes a null."""
    needed = schema.get("required", ())
    for name, inner in (schema.get("properties") or {}).items():
        if inner.get("type") == "string" and name not in needed:
            inner["nullable"] = True
        _let_texts_be_empty(inner)
    for part in ("items", "additionalProperties"):
        if isinstance(schema.get(part), dict):
            _let_texts_be_empty(schema[part])
            if part == "additionalProperties" and schema[part].get("type") == "string":
                schema[part]["nullable"] = True


@contextlib.asynccontextmanager
async def running(folder: pathlib.Path) -> AsyncIterator[server.Api | Hub]:
    """The present home, with its files in a folder."""
    if present == EMBEDDED:
        async with server.running(folder) as api:
            yield api
        return
    with kubernetes.running(folder, accounts=True) as running, kubernetes.controlled(running):
        found = Hub(running)
        try:
            await found.install()
            yield found
        finally:
            await found.close()
