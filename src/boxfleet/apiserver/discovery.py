"""Discovery documents: which groups, versions, resources and subresources this server has.

Plain documents are meta.k8s.io/v1 (``/api``, ``/apis``, ``/api/v1``, ``/apis/GROUP/VERSION``); aggregated ones are
apidiscovery.k8s.io/v2 and v2beta1, chosen by the Accept header on ``/api`` and ``/apis``.
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any

from boxfleet.api import kind as kinds

_READ_WRITE = ("get", "patch", "update")
_STREAM = ("create", "get")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Subresource:
    """A part of an object with an address of its own; `kind` is what it takes and answers."""

    name: str
    verbs: tuple[str, ...]
    kind: str
    group: str = ""
    version: str = "v1"


# By qualified plural name; `status` and `scale` follow from the kind itself.
_DECLARED: dict[str, tuple[Subresource, ...]] = {
    "pods": (
        Subresource(name="attach", verbs=_STREAM, kind="PodAttachOptions"),
        Subresource(name="binding", verbs=("create",), kind="Binding"),
        Subresource(name="ephemeralcontainers", verbs=_READ_WRITE, kind="Pod"),
        Subresource(name="eviction", verbs=("create",), kind="Eviction", group="policy"),
        Subresource(name="exec", verbs=_STREAM, kind="PodExecOptions"),
        Subresource(name="log", verbs=("get",), kind="Pod"),
        Subresource(name="portforward", verbs=_STREAM, kind="PodPortForwardOptions"),
    ),
    "certificatesigningrequests.certificates.k8s.io": (
        Subresource(name="approval", verbs=_READ_WRITE, kind="CertificateSigningRequest", group="certificates.k8s.io"),
    ),
    "serviceaccounts": (
        Subresource(name="token", verbs=("create",), kind="TokenRequest", group="authentication.k8s.io"),
    ),
    "namespaces": (Subresource(name="finalize", verbs=("update",), kind="Namespace"),),
}


def subresources(kind: kinds.Kind) -> tuple[Subresource, ...]:
    """All subresources of a kind, in order of their names."""
    found = list(_DECLARED.get(kind.qualified, ()))
    if kind.scale is not None:
        found.append(Subresource(name="scale", verbs=_READ_WRITE, kind="Scale", group="autoscaling"))
    if kind.status:
        found.append(
            Subresource(name="status", verbs=_READ_WRITE, kind=kind.kind, group=kind.group, version=kind.version)
        )
    return tuple(sorted(found, key=lambda part: part.name))


def api_versions() -> dict[str, Any]:
    """The answer to ``/api``."""
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def group_list(served: Sequence[kinds.Kind]) -> dict[str, Any]:
    """The answer to ``/apis``."""
    groups = [_group(served, name) for name in _groups(served) if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group(served: Sequence[kinds.Kind], name: str) -> dict[str, Any] | None:
    """The answer to ``/apis/GROUP``; None when there is no such group."""
    if not name or name not in _groups(served):
        return None
    return {"kind": "APIGroup", "apiVersion": "v1"} | _group(served, name)


def resource_list(served: Sequence[kinds.Kind], *, group: str, version: str) -> dict[str, Any] | None:
    """The answer to ``/api/v1`` (group empty) and ``/apis/GROUP/VERSION``; None when there is no such version."""
    resources: list[dict[str, Any]] = []
    for kind in _of(served, group, version):
        entry: dict[str, Any] = {
            "name": kind.plural,
            "singularName": kind.singular,
            "namespaced": kind.namespaced,
            "kind": kind.kind,
            "verbs": list(kind.verbs),
        }
        if kind.short_names:
            entry["shortNames"] = list(kind.short_names)
        if kind.categories:
            entry["categories"] = list(kind.categories)
        resources.append(entry)
        for part in subresources(kind):
            entry = {"name": f"{kind.plural}/{part.name}", "singularName": "", "namespaced": kind.namespaced}
            if (part.group, part.version) != (group, version):
                entry |= {"group": part.group, "version": part.version}
            resources.append(entry | {"kind": part.kind, "verbs": list(part.verbs)})
    if not resources:
        return None
    resources.sort(key=lambda entry: str(entry["name"]))
    group_version = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources}


def aggregated(served: Sequence[kinds.Kind], *, core: bool, version: str) -> dict[str, Any]:
    """The aggregated answer to ``/api`` (core) or ``/apis``; `version` is v2 or v2beta1."""
    items = [
        {
            "metadata": {"name": name, "creationTimestamp": None},
            "versions": [
                {
                    "version": served_version,
                    "resources": [_aggregated_resource(kind) for kind in _of(served, name, served_version)],
                    "freshness": "Current",
                }
                for served_version in versions
            ],
        }
        for name, versions in _groups(served).items()
        if (name == "") == core
    ]
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": items,
    }


def wanted_version(accept: str) -> str:
    """Which aggregated version an Accept header prefers: v2, v2beta1, or empty for the plain documents."""
    for offer in accept.split(","):
        media, *parameters = (part.strip() for part in offer.split(";"))
        values = dict(part.partition("=")[::2] for part in parameters)
        if media != "application/json":
            continue
        if values.get("as") is None:
            return ""
        version = values.get("v", "")
        ours = values["as"] == "APIGroupDiscoveryList" and values.get("g") == "apidiscovery.k8s.io"
        if ours and version in ("v2", "v2beta1"):
            return version
    return ""


def content_type(version: str) -> str:
    """The media type of an aggregated answer; clients look at it to know what they got."""
    if not version:
        return "application/json"
    return f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"


def etag(document: bytes) -> str:
    """The ETag of an encoded document, quoted: the same as long as nothing changed."""
    return f'"{hashlib.sha256(document).hexdigest().upper()}"'


def _groups(served: Sequence[kinds.Kind]) -> dict[str, list[str]]:
    """Versions by group, in the order of the kinds."""
    found: dict[str, list[str]] = {}
    for kind in served:
        versions = found.setdefault(kind.group, [])
        if kind.version not in versions:
            versions.append(kind.version)
    return found


def _of(served: Sequence[kinds.Kind], group: str, version: str) -> list[kinds.Kind]:
    chosen = [kind for kind in served if (kind.group, kind.version) == (group, version)]
    return sorted(chosen, key=lambda kind: kind.plural)


def _group(served: Sequence[kinds.Kind], name: str) -> dict[str, Any]:
    versions = [{"groupVersion": f"{name}/{version}", "version": version} for version in _groups(served)[name]]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def _aggregated_resource(kind: kinds.Kind) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "resource": kind.plural,
        # Empty when it is that of the enclosing document.
        "responseKind": {"group": "", "version": "", "kind": kind.kind},
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": list(kind.verbs),
    }
    if kind.short_names:
        entry["shortNames"] = list(kind.short_names)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    parts = [
        {
            "subresource": part.name,
            "responseKind": {
                "group": "" if part.group == kind.group else part.group,
                "version": "" if (part.group, part.version) == (kind.group, kind.version) else part.version,
                "kind": part.kind,
            },
            "verbs": list(part.verbs),
        }
        for part in subresources(kind)
    ]
    if parts:
        entry["subresources"] = parts
    return entry
