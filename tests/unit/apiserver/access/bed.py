"""Roles and bindings made with few words, and calls as somebody."""

from typing import Any

from boxfleet.testing import server

RBAC = "/apis/rbac.authorization.k8s.io/v1"
GROUP = "rbac.authorization.k8s.io"


def rule(resources: str, verbs: str, *, group: str = "", names: str = "") -> dict[str, Any]:
    return {
        "apiGroups": [group],
        "resources": resources.split(),
        "verbs": verbs.split(),
        **({"resourceNames": names.split()} if names else {}),
    }


def role(name: str, *rules: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "rules": list(rules), **fields}


def binding(name: str, to: str, *, user: str, kind: str = "ClusterRole") -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": GROUP, "kind": kind, "name": to},
        "subjects": [{"apiGroup": GROUP, "kind": "User", "name": user}],
    }


async def call(
    api: server.Api, who: str, method: str, path: str, body: Any = None, *, media: str = "json"
) -> server.Reply:
    """A call as a user, or as the administrator when `who` is empty; paths of RBAC need no beginning."""
    headers = {"content-type": f"application/{media}", **({"impersonate-user": who} if who else {})}
    return await server.send(api.app, method, path if path.startswith("/") else f"{RBAC}/{path}", body, headers=headers)


async def made(api: server.Api, path: str, body: dict[str, Any]) -> None:
    reply = await call(api, "", "POST", path, body)
    assert reply.status == 201, reply.body


async def give(api: server.Api, user: str, *rules: dict[str, Any]) -> None:
    """Rights everywhere."""
    await made(api, "clusterroles", role(f"of-{user}", *rules))
    await made(api, "clusterrolebindings", binding(f"of-{user}", f"of-{user}", user=user))
