"""What an answer of the cluster's API means for the one who called the driver."""

import re
from typing import Any

import msgspec

from boxfleet.ports import cluster

# In a refusal by RBAC: ... is forbidden: User "x" cannot get resource "secrets" in API group "" ...
_RIGHT = re.compile(r'User "[^"]*" cannot (?P<verb>\S+) (?P<what>.*)', re.DOTALL)
_LONGEST = 500


class NotFound(cluster.ClusterFault):
    """There is no such object, or no such kind."""


class Conflict(cluster.ClusterFault):
    """The object is there already, has changed, or is another one."""


class Expired(cluster.ClusterFault):
    """The revision asked for is compacted away: list anew."""


class Invalid(cluster.ClusterFault):
    """The object breaks a rule of the cluster's."""


class _Status(msgspec.Struct):
    message: str = ""
    reason: str = ""
    code: int = 0


def of_answer(code: int, body: bytes, *, what: str, hint: str = "") -> cluster.ClusterFault:
    """The fault for an answer that failed; `what` is the call, `hint` what is known of the credentials' age."""
    try:
        told = msgspec.json.decode(body, type=_Status)
    except msgspec.MsgspecError:
        told = _Status(message=body.decode(errors="replace").strip()[:_LONGEST])
    return of_status(code, told.message or f"HTTP {code}", what=what, hint=hint)


def of_event(status: dict[str, Any], *, what: str) -> cluster.ClusterFault:
    """The fault for the Status of a watch's last event."""
    return of_status(int(status.get("code") or 500), str(status.get("message") or ""), what=what)


def of_status(code: int, message: str, *, what: str, hint: str = "") -> cluster.ClusterFault:
    """The fault for a code and its message."""
    if code == 401:
        words = f"cannot {what}: the cluster does not accept the credentials ({hint or message})"
        return cluster.Denied(f"{words}; put a fresh kubeconfig into the Cluster's Secret")
    if code == 403:
        right = _RIGHT.search(message)
        if right is not None:
            missing = f"{right['verb']} {right['what']}"
            return cluster.Denied(
                f"cannot {what}: the account may not {missing}; apply what `boxfleet cluster rbac` prints"
            )
        return cluster.ClusterFault(f"cannot {what}: {message}")
    if code == 404:
        return NotFound(f"cannot {what}: {message}")
    if code == 409:
        return Conflict(f"cannot {what}: {message}")
    if code == 410:
        return Expired(f"cannot {what}: {message}")
    if code in (400, 422):
        return Invalid(f"cannot {what}: {message}")
    if code == 429 or code >= 500:
        if "failed to create typed patch object" in message or "field not declared in schema" in message:
            return Invalid(f"cannot {what}: {message}")
        if "admission webhook" in message or "failed calling webhook" in message:
            return cluster.ClusterFault(f"cannot {what}: {message}")
        return cluster.Unreachable(f"cannot {what}: the cluster answered {code}: {message}")
    return cluster.ClusterFault(f"cannot {what}: {message}")
