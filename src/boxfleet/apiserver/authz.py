"""Who may do what: what an authorizer is asked and answers, and how a refusal reads."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from boxfleet.apiserver import authn, faults

MASTERS = "system:masters"
NODES = "system:nodes"
NODE_USER = "system:node:"


# Structs, since one is made for each request.
class Attributes(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a request wants to do. `resource` is empty for paths that are no resources."""

    verb: str
    path: str = ""
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    # The field selector of a list.
    fields: str = ""


class Decision(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An answer; the reason says what allows it, or what could not be looked at."""

    allowed: bool
    reason: str = ""


class Authorizer(Protocol):
    """Decides whether a user may do something."""

    def decide(self, user: authn.User, wish: Attributes) -> Decision:
        """Whether the user may; when in doubt, not."""


class MasterAuthorizer:
    """Masters may do everything, whatever happens to roles."""

    def decide(self, user: authn.User, wish: Attributes) -> Decision:
        """By the group."""
        return _MASTER if MASTERS in user.groups else _SILENT


_MASTER = Decision(allowed=True)
_SILENT = Decision(allowed=False)


class Union:
    """Authorizers in order: what one of them allows is allowed."""

    def __init__(self, each: Sequence[Authorizer]) -> None:
        self._each = tuple(each)

    def decide(self, user: authn.User, wish: Attributes) -> Decision:
        """Ask one after the other; a refusal has all their reasons."""
        reasons = []
        for one in self._each:
            decision = one.decide(user, wish)
            if decision.allowed:
                return decision
            if decision.reason:
                reasons.append(decision.reason)
        return Decision(allowed=False, reason="\n".join(reasons)) if reasons else _SILENT


def node_of(user: authn.User) -> str:
    """The node that a user is the agent of; empty when it is none."""
    if NODES not in user.groups or not user.name.startswith(NODE_USER):
        return ""
    return user.name.removeprefix(NODE_USER)


def refusal(user: authn.User, wish: Attributes, *, reason: str = "") -> faults.Fault:
    """The 403 with Kubernetes' words."""
    who = msgspec.json.encode(user.name).decode()
    because = f": {reason}" if reason else ""
    if not wish.resource:
        return faults.Fault(
            403,
            "Forbidden",
            f'forbidden: User {who} cannot {wish.verb} path "{wish.path}"{because}',
            details={},
        )
    resource = f"{wish.resource}/{wish.subresource}" if wish.subresource else wish.resource
    qualified = f"{wish.resource}.{wish.group}" if wish.group else wish.resource
    where = f'in the namespace "{wish.namespace}"' if wish.namespace else "at the cluster scope"
    subject = f'{qualified} "{wish.name}"' if wish.name else qualified
    return faults.Fault(
        403,
        "Forbidden",
        f'{subject} is forbidden: User {who} cannot {wish.verb} resource "{resource}" '
        f'in API group "{wish.group}" {where}{because}',
        details={
            **({"name": wish.name} if wish.name else {}),
            **({"group": wish.group} if wish.group else {}),
            "kind": wish.resource,
        },
    )
