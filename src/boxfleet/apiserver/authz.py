"""Who may do what. Role-based rules come in as another Authorizer."""

import dataclasses
import enum
from collections.abc import Sequence
from typing import Protocol

from boxfleet.apiserver import authn, faults, node_scope

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
    # The field selector of a list.
    fields: str = ""


class Authorizer(Protocol):
    """Decides whether a user may do something."""

    async def allows(self, user: authn.User, wish: Attributes) -> bool:
        """Whether the user may; when in doubt, not."""


class Concern(enum.Enum):
    """Which objects of a resource are a node's business."""

    ALL = enum.auto()
    # The object with the node's own name.
    OWN = enum.auto()
    # Pods that are bound to the node; lists must select them.
    BOUND = enum.auto()
    # Objects in namespaces that have Pods bound to the node.
    BESIDE = enum.auto()
    # Claims with their data on the node.
    KEPT = enum.auto()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Verbs on resources (``group/resource/subresource``), as far as they concern the node."""

    verbs: frozenset[str]
    resources: frozenset[str]
    concern: Concern = Concern.ALL


_READ = frozenset({"get", "list", "watch"})
_CHANGE = frozenset({"update", "patch"})
_LEASES = "coordination.k8s.io/leases/"

# What an agent needs, and no more. What it may say in what it writes is in `node_limits`.
NODE_RULES: tuple[Rule, ...] = (
    # Where its instances' addresses and claims are, every node must know of all.
    Rule(
        verbs=_READ,
        resources=frozenset({"/persistentvolumeclaims/", "boxfleet.dev/addresses/", "boxfleet.dev/addresspools/"}),
    ),
    Rule(verbs=_READ, resources=frozenset({"/configmaps/", "/secrets/", "/serviceaccounts/"}), concern=Concern.BESIDE),
    Rule(verbs=_READ | {"delete"}, resources=frozenset({"/pods/"}), concern=Concern.BOUND),
    Rule(verbs=_CHANGE, resources=frozenset({"/pods/status"}), concern=Concern.BOUND),
    Rule(verbs=frozenset({"get"}), resources=frozenset({"/nodes/", _LEASES}), concern=Concern.OWN),
    Rule(verbs=_CHANGE, resources=frozenset({"/nodes/", "/nodes/status", _LEASES}), concern=Concern.OWN),
    # On POST the name is in the body, at which `node_limits` looks.
    Rule(verbs=frozenset({"create"}), resources=frozenset({"/nodes/", _LEASES})),
    # An event that was said before is counted on.
    Rule(verbs=_CHANGE | {"create", "get"}, resources=frozenset({"/events/"})),
    Rule(
        verbs=_CHANGE,
        resources=frozenset({"/persistentvolumeclaims/", "/persistentvolumeclaims/status"}),
        concern=Concern.KEPT,
    ),
    Rule(verbs=frozenset({"connect"}), resources=frozenset({"/nodes/tunnel"}), concern=Concern.OWN),
)

# Paths that tell a client how to speak to the server.
_OPEN_PATHS = ("/livez", "/readyz", "/healthz", "/version", "/api", "/apis", "/openapi")


class GroupAuthorizer:
    """Masters may do everything, nodes what a small table says of what concerns them."""

    def __init__(self, scope: node_scope.NodeScope, *, node_rules: Sequence[Rule] = NODE_RULES) -> None:
        self._scope = scope
        self._node_rules = node_rules

    async def allows(self, user: authn.User, wish: Attributes) -> bool:
        """Look the wish up."""
        if MASTERS in user.groups:
            return True
        if not wish.resource:
            return wish.verb == "get" and any(
                wish.path == path or wish.path.startswith(path + "/") for path in _OPEN_PATHS
            )
        node = node_of(user)
        if not node:
            return False
        resource = f"{wish.group}/{wish.resource}/{wish.subresource}"
        return any(
            wish.verb in rule.verbs and resource in rule.resources and self._concerns(node, wish, rule.concern)
            for rule in self._node_rules
        )

    def _concerns(self, node: str, wish: Attributes, concern: Concern) -> bool:
        match concern:
            case Concern.ALL:
                return True
            case Concern.OWN:
                return wish.name == node
            case Concern.BOUND if not wish.name:
                return wish.fields == f"spec.nodeName={node}"
            case Concern.BOUND:
                return self._scope.has_pod(node, namespace=wish.namespace, name=wish.name)
            case Concern.BESIDE:
                return self._scope.is_in(node, namespace=wish.namespace)
            case Concern.KEPT:
                return self._scope.keeps_claim(node, namespace=wish.namespace, name=wish.name)


def node_of(user: authn.User) -> str:
    """The node that a user is the agent of; empty when it is none."""
    if NODES not in user.groups or not user.name.startswith(_NODE_USER):
        return ""
    return user.name.removeprefix(_NODE_USER)


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
