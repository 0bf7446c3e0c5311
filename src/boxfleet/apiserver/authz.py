"""Who may do what. Role-based rules come in as another Authorizer."""

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from boxfleet.apiserver import authn, faults

MASTERS = "system:masters"
NODES = "system:nodes"
_NODE_USER = "system:node:"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """What a request wants to do. `resource` is empty for paths that are no resources."""

    verb: str
    path: str = ""
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""


class Authorizer(Protocol):
    """Decides whether a user may do something."""

    async def allows(self, user: authn.User, wish: Attributes) -> bool:
        """Whether the user may; when in doubt, not."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Verbs on resources (``group/resource/subresource``), on everything or only on the node's own object."""

    verbs: frozenset[str]
    resources: frozenset[str]
    own_only: bool = False


_READ = frozenset({"get", "list", "watch"})
_WRITE = frozenset({"create", "update", "patch"})

# What an agent needs, and no more.
NODE_RULES: tuple[Rule, ...] = (
    Rule(
        verbs=_READ,
        resources=frozenset(
            {
                "/pods/",
                "/nodes/",
                "/configmaps/",
                "/secrets/",
                "/persistentvolumeclaims/",
                "/namespaces/",
                "boxfleet.dev/addresses/",
                "boxfleet.dev/addresspools/",
                "coordination.k8s.io/leases/",
            }
        ),
    ),
    Rule(verbs=_WRITE, resources=frozenset({"/nodes/", "/nodes/status"}), own_only=True),
    Rule(verbs=_WRITE, resources=frozenset({"coordination.k8s.io/leases/"}), own_only=True),
    # Creating cannot be held to a name: on POST it is in the body, which the agent alone writes.
    Rule(verbs=frozenset({"create"}), resources=frozenset({"/nodes/", "coordination.k8s.io/leases/", "/events/"})),
    Rule(verbs=frozenset({"update", "patch"}), resources=frozenset({"/pods/status", "/events/"})),
    # An event that was said before is counted on.
    Rule(verbs=frozenset({"get"}), resources=frozenset({"/events/"})),
    Rule(verbs=frozenset({"delete"}), resources=frozenset({"/pods/"})),
    Rule(
        verbs=frozenset({"update", "patch"}),
        resources=frozenset({"/persistentvolumeclaims/", "/persistentvolumeclaims/status"}),
    ),
    Rule(verbs=frozenset({"connect"}), resources=frozenset({"/nodes/tunnel"}), own_only=True),
)

# Paths that tell a client how to speak to the server.
_OPEN_PATHS = ("/livez", "/readyz", "/healthz", "/version", "/api", "/apis", "/openapi")


class GroupAuthorizer:
    """Masters may do everything, nodes what a small table says."""

    def __init__(self, *, node_rules: Sequence[Rule] = NODE_RULES) -> None:
        self._node_rules = node_rules

    async def allows(self, user: authn.User, wish: Attributes) -> bool:
        """Look the wish up."""
        if MASTERS in user.groups:
            return True
        if not wish.resource:
            return wish.verb == "get" and any(
                wish.path == path or wish.path.startswith(path + "/") for path in _OPEN_PATHS
            )
        if NODES not in user.groups or not user.name.startswith(_NODE_USER):
            return False
        resource = f"{wish.group}/{wish.resource}/{wish.subresource}"
        own = user.name.removeprefix(_NODE_USER)
        return any(
            wish.verb in rule.verbs and resource in rule.resources and (not rule.own_only or wish.name == own)
            for rule in self._node_rules
        )


def refusal(user: authn.User, wish: Attributes) -> faults.Fault:
    """The 403 with Kubernetes' words."""
    if not wish.resource:
        return faults.Fault(
            403,
            "Forbidden",
            f'forbidden: User "{user.name}" cannot {wish.verb} path "{wish.path}"',
            details={},
        )
    resource = f"{wish.resource}/{wish.subresource}" if wish.subresource else wish.resource
    qualified = f"{wish.resource}.{wish.group}" if wish.group else wish.resource
    where = f'in the namespace "{wish.namespace}"' if wish.namespace else "at the cluster scope"
    subject = f'{qualified} "{wish.name}"' if wish.name else qualified
    return faults.Fault(
        403,
        "Forbidden",
        f'{subject} is forbidden: User "{user.name}" cannot {wish.verb} resource "{resource}" '
        f'in API group "{wish.group}" {where}',
        details={
            **({"name": wish.name} if wish.name else {}),
            **({"group": wish.group} if wish.group else {}),
            "kind": wish.resource,
        },
    )
