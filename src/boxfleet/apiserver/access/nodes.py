"""The authorizer of nodes: an agent may do what a small table says, as far as it concerns its node.

It takes the place of Kubernetes' node authorizer. What an agent may say in what it writes is in ``node_limits``.
"""

import dataclasses
import enum
from collections.abc import Collection, Iterable

from boxfleet.api import servers
from boxfleet.apiserver import authn, authz, node_scope
from boxfleet.apiserver.access import rules


class Concern(enum.Enum):
    """Which objects of a resource are a node's business."""

    ALL = enum.auto()
    # The object with the node's own name.
    OWN = enum.auto()
    # Pods that are bound to the node; lists must select them.
    BOUND = enum.auto()
    # Objects in namespaces that have Pods bound to the node.
    BESIDE = enum.auto()
    # Lists in the namespace where servers announce themselves.
    SERVERS = enum.auto()
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
_RULES: tuple[Rule, ...] = (
    # Every node must know of all.
    Rule(
        verbs=_READ,
        resources=frozenset({"/persistentvolumeclaims/"}),
    ),
    Rule(verbs=_READ, resources=frozenset({"/configmaps/", "/secrets/", "/serviceaccounts/"}), concern=Concern.BESIDE),
    # For its Pods alone, which is looked at where the token is made.
    Rule(verbs=frozenset({"create"}), resources=frozenset({"/serviceaccounts/token"}), concern=Concern.BESIDE),
    Rule(verbs=_READ | {"delete"}, resources=frozenset({"/pods/"}), concern=Concern.BOUND),
    Rule(verbs=_CHANGE, resources=frozenset({"/pods/status"}), concern=Concern.BOUND),
    Rule(verbs=frozenset({"get"}), resources=frozenset({"/nodes/", _LEASES}), concern=Concern.OWN),
    Rule(verbs=_CHANGE, resources=frozenset({"/nodes/", "/nodes/status", _LEASES}), concern=Concern.OWN),
    Rule(verbs=_READ - {"get"}, resources=frozenset({_LEASES}), concern=Concern.SERVERS),
    # On POST the name is in the body, at which `node_limits` looks.
    Rule(verbs=frozenset({"create"}), resources=frozenset({"/nodes/", _LEASES})),
    # An event that was said before is counted on.
    Rule(verbs=_CHANGE | {"create", "get"}, resources=frozenset({"/events/"})),
    Rule(
        verbs=_CHANGE,
        resources=frozenset({"/persistentvolumeclaims/", "/persistentvolumeclaims/status"}),
        concern=Concern.KEPT,
    ),
    # To renew its own certificate. What others ask for is no secret.
    Rule(verbs=frozenset({"create", "get"}), resources=frozenset({"certificates.k8s.io/certificatesigningrequests/"})),
    Rule(verbs=frozenset({"connect"}), resources=frozenset({"/nodes/tunnel"}), concern=Concern.OWN),
)


class NodeAuthorizer:
    """Implements authz.Authorizer for agents. `reads` are further resources (``group/resource``) for all nodes."""

    def __init__(self, scope: node_scope.NodeScope, *, reads: Collection[str] = ()) -> None:
        self._scope = scope
        self._rules = _with(reads)
        self._concerns_of: dict[tuple[str, str], list[Concern]] = {}
        for rule in self._rules:
            for verb in rule.verbs:
                for resource in rule.resources:
                    self._concerns_of.setdefault((verb, resource), []).append(rule.concern)

    def decide(self, user: authn.User, wish: authz.Attributes) -> authz.Decision:
        """Look the wish up."""
        node = authz.node_of(user)
        if not node or not wish.resource:
            return _NO
        resource = f"{wish.group}/{wish.resource}/{wish.subresource}"
        concerns = self._concerns_of.get((wish.verb, resource), ())
        return _YES if any(self._concerns(node, wish, concern) for concern in concerns) else _NO

    def rules(self) -> list[rules.Rule]:
        """The table as rules of a role, without the bounds of what concerns one node."""
        return [
            rules.Rule(verbs=tuple(sorted(rule.verbs)), apiGroups=(group,), resources=tuple(sorted(names)))
            for rule in self._rules
            for group, names in _by_group(rule.resources).items()
        ]

    def _concerns(self, node: str, wish: authz.Attributes, concern: Concern) -> bool:
        match concern:
            case Concern.ALL:
                return True
            case Concern.OWN:
                return wish.name == node
            case Concern.SERVERS:
                return wish.namespace == servers.NAMESPACE
            case Concern.BOUND if wish.verb in ("list", "watch"):
                # Not by name: a Pod of that name may come to another node later.
                return wish.fields == f"spec.nodeName={node}"
            case Concern.BOUND:
                return self._scope.has_pod(node, namespace=wish.namespace, name=wish.name)
            case Concern.BESIDE:
                return self._scope.is_in(node, namespace=wish.namespace)
            case Concern.KEPT:
                return self._scope.keeps_claim(node, namespace=wish.namespace, name=wish.name)


_YES = authz.Decision(allowed=True)
_NO = authz.Decision(allowed=False)


def _with(reads: Collection[str]) -> tuple[Rule, ...]:
    return (*_RULES, Rule(verbs=_READ, resources=frozenset(f"{each}/" for each in reads)))


def _by_group(resources: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in sorted(resources):
        group, _, resource = each.partition("/")
        found.setdefault(group, []).append(resource.rstrip("/"))
    return found
