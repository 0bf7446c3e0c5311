"""A namespace of a test's own, and short ways to what is in it."""

import dataclasses
from typing import Any

from tests.conformance.api import wire


@dataclasses.dataclass(frozen=True, slots=True)
class Space:
    """One namespace on one server."""

    api: wire.Api
    name: str

    def path(self, plural: str = "configmaps", name: str = "", part: str = "", *, root: str = "/api/v1") -> str:
        """The address of a collection, an object or a subresource."""
        return "/".join(piece for piece in (f"{root}/namespaces/{self.name}/{plural}", name, part) if piece)

    def create(self, name: str, plural: str = "configmaps", **content: Any) -> dict[str, Any]:
        """Make an object; `content` is all but its name, with `metadata` for the rest of that."""
        body = {**content, "metadata": {"name": name, **content.get("metadata", {})}}
        made: dict[str, Any] = self.api.post(self.path(plural), body).ok(201)
        return made

    def read(self, name: str, plural: str = "configmaps") -> dict[str, Any]:
        """An object as it is."""
        found: dict[str, Any] = self.api.get(self.path(plural, name)).ok()
        return found

    def is_there(self, name: str, plural: str = "configmaps") -> bool:
        """Whether it is."""
        return self.api.get(self.path(plural, name)).status == 200

    def pod(self, name: str, **metadata: Any) -> dict[str, Any]:
        """Make a Pod that nobody runs."""
        spec = {"containers": [{"name": "c", "image": "x:1"}], "automountServiceAccountToken": False}
        return self.create(name, "pods", metadata=metadata, spec=spec)


def make(api: wire.Api, name: str) -> Space:
    """A new namespace, with the ServiceAccount that Pods need."""
    api.post("/api/v1/namespaces", {"metadata": {"name": name}}).ok(201)
    space = Space(api, name)
    if not space.is_there("default", "serviceaccounts"):
        space.create("default", "serviceaccounts")
    return space
