"""A first look at a cluster: what it is, what it knows, and what the account may not do."""

import asyncio
import datetime
import time
from typing import Any, Final

from boxfleet.drivers.kubernetes import connection, faults, names, objects, rbac, settings, shape, view
from boxfleet.ports import cluster

JsonObject = dict[str, Any]

# Seconds for all of it.
_PATIENCE: Final = 30.0
_OLDEST: Final = 20
# StatefulSets that begin at another ordinal are switched on from here on.
_STARTS: Final = 27
# Seconds between two clocks from which on tokens and certificates begin to fail.
_CLOCKS: Final = 30.0
_SOON: Final = datetime.timedelta(days=7)
_RBAC: Final = "apply what `boxfleet cluster rbac` prints"
_ACCESS_REVIEWS: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_DEFAULT_CLASS: Final = "storageclass.kubernetes.io/is-default-class"


async def server_of(via: connection.Connection) -> shape.Server:
    """What the cluster knows, from what it says of itself."""
    budgets = await _budgets(via)
    starts = False
    if await _minor(via) >= _STARTS:
        try:
            schemas = await via.call("GET", "/openapi/v3/apis/apps/v1")
            kinds = (schemas.get("components") or {}).get("schemas") or {}
            spec = kinds.get("io.k8s.api.apps.v1.StatefulSetSpec") or {}
            starts = "ordinals" in (spec.get("properties") or {})
        except (faults.NotFound, cluster.Denied):
            starts = False
    return shape.Server(starts=starts, budgets=budgets)


async def look(own: settings.Settings, via: connection.Connection) -> cluster.Report:
    """The report; raises Unreachable or Denied when there is nothing to report of."""
    try:
        async with asyncio.timeout(_PATIENCE):
            return await _look(own, via)
    except TimeoutError:
        raise cluster.Unreachable(f"cannot look at the cluster: no answer within {_PATIENCE:.0f} s") from None


async def _look(own: settings.Settings, via: connection.Connection) -> cluster.Report:
    # The first call makes the connection, the second shows what a call takes.
    version = await via.call("GET", "/version")
    began = time.monotonic()
    await via.call("GET", "/version")
    latency = time.monotonic() - began
    lacks: list[cluster.Lack] = []
    if await _minor(via) < _OLDEST:
        lacks.append(cluster.Lack(what=f"Kubernetes {version.get('gitVersion')}", remedy=f"use 1.{_OLDEST} or newer"))
    await objects.together(_check_right(via, each, verb, lacks) for each in rbac.RIGHTS for verb in each.verbs)
    nodes: list[cluster.Node] = []
    try:
        listed = await objects.Objects(via).list(names.NODES, whole=True)
        nodes = [view.node_of(each) for each in listed]
    except cluster.Denied:
        # Said among the rights.
        nodes = []
    if await _budgets(via) is None:
        lacks.append(cluster.Lack(what="the kind PodDisruptionBudget", remedy="evictions are not held up", fatal=False))
    await _check_class(own, via, lacks)
    _check_times(via, lacks)
    lacks.sort(key=lambda each: (not each.fatal, each.what))
    return cluster.Report(
        version=f"Kubernetes {version.get('gitVersion', '')}", latency=latency, nodes=nodes, lacks=lacks
    )


async def _check_right(via: connection.Connection, right: rbac.Right, verb: str, lacks: list[cluster.Lack]) -> None:
    resource, _, part = right.resource.partition("/")
    attributes = {"group": right.group, "resource": resource, "verb": verb}
    if part:
        attributes["subresource"] = part
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    answer = await via.call("POST", _ACCESS_REVIEWS, body=body)
    if not (answer.get("status") or {}).get("allowed"):
        group = f".{right.group}" if right.group else ""
        what = f"the right to {verb} {right.resource}{group} ({right.purpose})"
        lacks.append(cluster.Lack(what=what, remedy=_RBAC, fatal=right.fatal))


async def _check_class(own: settings.Settings, via: connection.Connection, lacks: list[cluster.Lack]) -> None:
    try:
        found = await objects.Objects(via).list(names.CLASSES)
    except cluster.Denied:
        return
    if own.storage_class:
        if own.storage_class not in {each["metadata"]["name"] for each in found}:
            what, remedy = f"the storage class {own.storage_class}", "correct spec.kubernetes.storageClass"
            lacks.append(cluster.Lack(what=what, remedy=remedy, fatal=False))
        return
    if not any((each["metadata"].get("annotations") or {}).get(_DEFAULT_CLASS) == "true" for each in found):
        remedy = "claims of instances wait; set spec.kubernetes.storageClass"
        lacks.append(cluster.Lack(what="a default storage class", remedy=remedy, fatal=False))


def _check_times(via: connection.Connection, lacks: list[cluster.Lack]) -> None:
    if abs(via.ahead) > _CLOCKS:
        direction = "ahead of" if via.ahead > 0 else "behind"
        what = f"clocks that agree: the cluster's is {abs(via.ahead):.0f} s {direction} this one"
        lacks.append(cluster.Lack(what=what, remedy="set both by NTP", fatal=False))
    expires = via.access.expires
    if expires is not None and expires - datetime.datetime.now(datetime.UTC) < _SOON:
        what = f"credentials that last: {via.access.hint}"
        lacks.append(cluster.Lack(what=what, remedy="put a fresh kubeconfig into the Cluster's Secret", fatal=False))


async def _minor(via: connection.Connection) -> int:
    version = await via.call("GET", "/version")
    digits = "".join(each for each in str(version.get("minor", "")) if each.isdigit())
    return int(digits) if digits and str(version.get("major")) == "1" else 1000


async def _budgets(via: connection.Connection) -> names.Kind | None:
    try:
        group = await via.call("GET", "/apis/policy")
    except (faults.NotFound, cluster.Denied):
        return None
    versions = {each.get("version") for each in group.get("versions") or []}
    return next((kind for kind in (names.BUDGETS, names.OLD_BUDGETS) if kind.version in versions), None)
