"""The roles that Boxfleet has from the start, beside those of Kubernetes: for people, and for its own parts.

People's roles are gathered by labels, so that the kinds of others join them: a ClusterRole with the label
``rbac.authorization.k8s.io/aggregate-to-view`` (or -edit, -admin, -auditor) is a part of the role by that name.
"""

from boxfleet.api import kind, rbac_objects, usage

_READ = ("get", "list", "watch")
_CHANGE = ("create", "delete", "deletecollection", "patch", "update")
# Everything but verbs that lift somebody above their own rights: bind, escalate, impersonate.
_ALL = (*_READ, *_CHANGE)

CLUSTER_CONTROLLER = "system:boxfleet:cluster-controller"
CONTROLLERS = "system:boxfleet:controllers"
GARBAGE_COLLECTOR = "system:boxfleet:garbage-collector"
NAMESPACE_CONTROLLER = "system:boxfleet:namespace-controller"
NODE_POOL_CONTROLLER = "system:boxfleet:node-pool-controller"
QUOTA_CONTROLLER = "system:boxfleet:quota-controller"
SCHEDULER = "system:boxfleet:scheduler"
# The servers themselves, as far as each announces where it is.
SERVER = "system:boxfleet:server"
TENANT_CONTROLLER = "system:boxfleet:tenant-controller"
TOKEN_CONTROLLER = "system:boxfleet:token-controller"  # noqa: S105  # a name
# Machines that join as servers by a token, what they may ask for, and where tokens come from. Who may create everything
# may make a token; what a token opens is given to its holder alone.
JOINING_SERVERS = "system:boxfleet:joining-servers"
SERVER_TOKENS = "servertokens"
SERVER_KEYS = "serverkeys"
AUTHORITY_PATH = "/boxfleet/authority"
# Hosts that join: those who hold a token, or have been told of one.
JOINING_NODES = "system:boxfleet:joining-nodes"
# What the members of a tenant can be in its Namespaces.
OF_TENANTS = ("tenant-admin", "developer", "viewer", "auditor")
# The Lease of the server that runs them, where several servers share a store.
OFFICE = "boxfleet-controllers"
# The users that Boxfleet's own parts are; their roles have the same names.
PARTS = (
    CLUSTER_CONTROLLER,
    CONTROLLERS,
    GARBAGE_COLLECTOR,
    NAMESPACE_CONTROLLER,
    NODE_POOL_CONTROLLER,
    QUOTA_CONTROLLER,
    SCHEDULER,
    SERVER,
    TENANT_CONTROLLER,
    TOKEN_CONTROLLER,
)

# Where its instances' addresses are, every node must know of all.
NODE_READS = (f"{kind.GROUP}/addresses", f"{kind.GROUP}/addresspools")


def objects() -> list[kind.JsonObject]:
    """All roles, and the bindings of Boxfleet's own parts."""
    return [*_of_kinds(), *_of_people(), *_of_parts()]


def _of_kinds() -> list[kind.JsonObject]:
    """What Boxfleet's own kinds add to the roles that Kubernetes' users know."""
    rule, role = rbac_objects.rule, rbac_objects.cluster_role
    delivered = ("boxes", "units", "units/scale")
    shown = (*delivered, "addresses", "addresses/status", "boxes/status", "placements", "placements/status")
    return [
        role("boxfleet:view", [rule(kind.GROUP, (*shown, "units/status"), _READ)], into=("view",)),
        role("boxfleet:usage", [rule(usage.GROUP, ("nodes", "pods"), ("get", "list"))], into=("view",)),
        role("boxfleet:edit", [rule(kind.GROUP, delivered, _CHANGE)], into=("edit",)),
        role(
            "boxfleet:audit",
            [
                rule("", ("nodes", "nodes/status", "persistentvolumes"), _READ),
                rule(kind.GROUP, ("addresspools", "addresspools/status", "clusters", "clusters/status"), _READ),
                rule(kind.GROUP, ("nodepools", "nodepools/status"), _READ),
                rule("coordination.k8s.io", "leases", _READ),
                rule("apiextensions.k8s.io", "customresourcedefinitions", _READ),
                rule(
                    "rbac.authorization.k8s.io",
                    ("clusterrolebindings", "clusterroles", "rolebindings", "roles"),
                    _READ,
                ),
                rule("authorization.k8s.io", "subjectaccessreviews", "create"),
                rbac_objects.paths("/audit", "get"),
            ],
            into=("auditor",),
        ),
    ]


def _of_people() -> list[kind.JsonObject]:
    rule, paths, gathered = rbac_objects.rule, rbac_objects.paths, rbac_objects.aggregated_role
    return [
        rbac_objects.cluster_role("platform-admin", [rule("*", "*", _ALL), paths("*", "get")]),
        gathered("tenant-admin", ("admin", "edit", "view")),
        gathered("developer", ("edit", "view")),
        gathered("viewer", ("view",)),
        gathered("auditor", ("auditor", "view")),
    ]


def _of_parts() -> list[kind.JsonObject]:
    rules = {
        CLUSTER_CONTROLLER: _clusters(),
        CONTROLLERS: _controllers(),
        GARBAGE_COLLECTOR: [rbac_objects.rule("*", "*", (*_READ, "delete", "patch"))],
        NAMESPACE_CONTROLLER: _namespaces(),
        NODE_POOL_CONTROLLER: _node_pools(),
        QUOTA_CONTROLLER: _quotas(),
        SCHEDULER: _scheduler(),
        SERVER: [rbac_objects.rule("coordination.k8s.io", "leases", ("create", "delete", "list", "patch"))],
        TENANT_CONTROLLER: _tenants(),
        TOKEN_CONTROLLER: _tokens(),
    }
    roles = [rbac_objects.cluster_role(name, each) for name, each in rules.items()]
    joining = [rbac_objects.rule(kind.GROUP, SERVER_KEYS, "create"), rbac_objects.paths(AUTHORITY_PATH, "get")]
    return [
        *roles,
        *(rbac_objects.cluster_role_binding(name, user=name) for name in rules),
        rbac_objects.cluster_role(JOINING_SERVERS, joining),
        rbac_objects.cluster_role(JOINING_NODES, [rbac_objects.paths(AUTHORITY_PATH, "get")]),
        rbac_objects.cluster_role_binding(JOINING_NODES, group=JOINING_NODES),
        rbac_objects.cluster_role_binding(JOINING_SERVERS, group=JOINING_SERVERS),
    ]


def _controllers() -> list[kind.JsonObject]:
    rule = rbac_objects.rule
    own = ("addresses", "addresspools", "boxes", "clusters", "nodepools", "placements", "units")
    status = ("addresses/status", "addresspools/status", "boxes/status", "clusters/status")
    return [
        rule(kind.GROUP, own, _READ),
        rule(kind.GROUP, (*status, "placements/status", "units/status"), ("patch", "update")),
        rule(kind.GROUP, ("addresspools", "clusters"), "create"),
        rule(kind.GROUP, ("addresses", "units"), ("create", "delete", "patch", "update")),
        rule("", "pods", (*_READ, "create", "delete", "patch")),
        rule("", "configmaps", (*_READ, "create", "patch")),
        rule("", "persistentvolumeclaims", (*_READ, "create", "patch")),
        rule("", "events", (*_READ, "create", "delete", "patch", "update")),
        rule("", "nodes", (*_READ, "patch")),
        rule("", ("nodes/status", "pods/status"), ("patch", "update")),
        rule("", ("namespaces", "resourcequotas"), _READ),
        rule(kind.GROUP, "tenants", _READ),
        rule("policy", "poddisruptionbudgets", _READ),
        rule("", "pods/eviction", "create"),
        rule(usage.GROUP, ("nodes", "pods"), "list"),
        rule("autoscaling", "horizontalpodautoscalers", _READ),
        rule("policy", "poddisruptionbudgets/status", "patch"),
        rule("autoscaling", "horizontalpodautoscalers/status", "patch"),
        rule("scheduling.k8s.io", "priorityclasses", "create"),
        # The office's, and those of nodes, for what is said there of takeovers.
        rule("coordination.k8s.io", "leases", (*_READ, "create", "patch", "update")),
    ]


def _clusters() -> list[kind.JsonObject]:
    rule = rbac_objects.rule
    # What Pods refer to goes with them to clusters that others run, Secrets too, as it goes to nodes.
    return [
        rule(kind.GROUP, "clusters", (*_READ, "patch")),
        rule(kind.GROUP, "clusters/status", ("patch", "update")),
        rule(kind.GROUP, "placements", (*_READ, "patch")),
        rule("", "pods", (*_READ, "delete")),
        rule("", "pods/binding", "create"),
        rule("", "pods/status", "patch"),
        rule("", ("configmaps", "persistentvolumeclaims", "secrets"), _READ),
        rule("", "persistentvolumeclaims/status", "patch"),
        rule("", "nodes", (*_READ, "create", "delete", "patch")),
        rule("", "nodes/status", "patch"),
        rule("", "events", ("create", "get", "patch", "update")),
    ]


def _namespaces() -> list[kind.JsonObject]:
    rule = rbac_objects.rule
    return [
        rule("*", "*", (*_READ, "delete")),
        rule("", "serviceaccounts", "create"),
        rule("", "namespaces/finalize", "update"),
        rule("", "namespaces/status", "patch"),
    ]


def _node_pools() -> list[kind.JsonObject]:
    rule = rbac_objects.rule
    # Secrets: a join token for each machine, and what providers are handed.
    return [
        rule(kind.GROUP, "nodepools", (*_READ, "patch")),
        rule(kind.GROUP, "nodepools/status", ("patch", "update")),
        rule("", "nodes", (*_READ, "delete", "patch")),
        rule("", ("namespaces", "persistentvolumeclaims", "pods"), _READ),
        rule("", "pods/eviction", "create"),
        rule("", "secrets", ("create", "delete", "get")),
        rule("policy", "poddisruptionbudgets", _READ),
        rule("", "events", ("create", "get", "patch", "update")),
    ]


def _quotas() -> list[kind.JsonObject]:
    rule = rbac_objects.rule
    # What may be counted may be of any kind.
    return [rule("*", "*", _READ), rule("", "resourcequotas/status", ("patch", "update"))]


def _tenants() -> list[kind.JsonObject]:
    rule = rbac_objects.rule
    rights = ("clusterrolebindings", "clusterroles", "rolebindings")
    return [
        rule(kind.GROUP, ("addresses", "namespacesets", "tenants"), (*_READ, "patch")),
        rule(kind.GROUP, "namespacesets", ("create", "update")),
        rule(kind.GROUP, "tenants/status", "update"),
        rule("", ("limitranges", "namespaces"), (*_READ, "create", "delete", "patch")),
        rule("", ("persistentvolumeclaims", "pods"), _READ),
        rule("rbac.authorization.k8s.io", rights, (*_READ, "create", "delete", "patch")),
        rule("rbac.authorization.k8s.io", "clusterroles", "bind", names=OF_TENANTS),
    ]


def _tokens() -> list[kind.JsonObject]:
    rule = rbac_objects.rule
    return [rule("", "secrets", (*_READ, "delete", "patch")), rule("", "serviceaccounts", _READ)]


def _scheduler() -> list[kind.JsonObject]:
    rule = rbac_objects.rule
    return [
        rule("", ("namespaces", "nodes", "persistentvolumeclaims", "pods"), _READ),
        rule("", "pods/binding", "create"),
        # Makes room for what is more important.
        rule("", "pods", "delete"),
        rule("policy", "poddisruptionbudgets", _READ),
        rule("", "pods/status", ("patch", "update")),
        rule("", "persistentvolumeclaims", "patch"),
        rule("", "events", ("create", "get", "patch", "update")),
        rule(kind.GROUP, ("clusters", "units"), _READ),
        rule(kind.GROUP, "placements", (*_READ, "create", "delete", "patch", "update")),
    ]
