"""The roles that every Kubernetes has from the start, as ordinary objects.

People may change them: a start puts back what is missing of them, unless the annotation
``rbac.authorization.kubernetes.io/autoupdate`` is ``"false"``. Rules and names are those of Kubernetes 1.32.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from boxfleet.api import rbac_objects
from boxfleet.apiserver import authn, authz
from boxfleet.apiserver.access import rules
from boxfleet.apiserver.identity import issuer_documents, join_tokens, local_users

JsonObject = dict[str, Any]

_READ = ("get", "list", "watch")
_WRITE = ("create", "delete", "deletecollection", "patch", "update")
_APPS = ("deployments", "deployments/scale", "replicasets", "replicasets/scale", "statefulsets", "statefulsets/scale")
_CORE = (
    "configmaps", "events", "persistentvolumeclaims", "replicationcontrollers", "replicationcontrollers/scale",
    "services",
)  # fmt: skip
_BATCH = ("cronjobs", "jobs")
_NETWORK = ("ingresses", "networkpolicies")
_STREAMS = ("pods/attach", "pods/exec", "pods/portforward", "pods/proxy")
_DISCOVERY = ("/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*")
_HEALTH = ("/healthz", "/livez", "/readyz", "/version", "/version/")


def objects(*, node_rules: Sequence[rules.Rule]) -> list[JsonObject]:
    """All of them; `node_rules` are what agents may do, which needs no binding."""
    rule, paths = rbac_objects.rule, rbac_objects.paths
    role, aggregated = rbac_objects.cluster_role, rbac_objects.aggregated_role
    bind = rbac_objects.cluster_role_binding
    made = [
        role("cluster-admin", [rule("*", "*", "*"), paths("*", "*")]),
        bind("cluster-admin", group=authz.MASTERS),
        role(
            "system:basic-user",
            [
                rule("authorization.k8s.io", ("selfsubjectaccessreviews", "selfsubjectrulesreviews"), "create"),
                rule("authentication.k8s.io", "selfsubjectreviews", "create"),
            ],
        ),
        role("system:discovery", [paths((*_DISCOVERY, *_HEALTH), "get")]),
        role("system:public-info-viewer", [paths(_HEALTH, "get")]),
        role("system:monitoring", [paths(("/healthz/*", "/livez/*", "/metrics", "/readyz/*", *_HEALTH[:3]), "get")]),
        bind("system:monitoring", group="system:monitoring"),
        # Bound to nobody: agents are let in by the node authorizer, which bounds it to their own node.
        role("system:node", [_plain(each) for each in node_rules]),
        role(
            "system:auth-delegator",
            [
                rule("authentication.k8s.io", "tokenreviews", "create"),
                rule("authorization.k8s.io", "subjectaccessreviews", "create"),
            ],
        ),
    ]
    made += [
        role("system:service-account-issuer-discovery", [paths(issuer_documents.PATHS, "get")]),
        bind("system:service-account-issuer-discovery", group="system:serviceaccounts"),
    ]
    made += [
        role(
            "system:node-bootstrapper", [rule("certificates.k8s.io", "certificatesigningrequests", ("create", "get"))]
        ),
        bind("system:node-bootstrapper", group=join_tokens.GROUP),
    ]
    made += [
        role("boxfleet:login", [paths(local_users.PATH, "post")]),
        bind("boxfleet:login", group=authn.AUTHENTICATED),
    ]
    # Nobody gets in who is not known: all three are for known users only.
    made += [
        bind(name, group=authn.AUTHENTICATED)
        for name in ("system:basic-user", "system:discovery", "system:public-info-viewer")
    ]
    made += [
        aggregated("admin", ("admin", "edit", "view")),
        aggregated("edit", ("edit", "view")),
        aggregated("view", ("view",)),
        role(
            "system:aggregated-metrics-reader",
            [rule("metrics.k8s.io", ("nodes", "pods"), _READ)],
            into=("admin", "edit", "view"),
        ),
        role("system:aggregate-to-admin", _admin(), into=("admin",)),
        role("system:aggregate-to-edit", _edit(), into=("edit",)),
        role("system:aggregate-to-view", _view(), into=("view",)),
    ]
    return made


def _admin() -> list[JsonObject]:
    rule = rbac_objects.rule
    return [
        rule("authorization.k8s.io", "localsubjectaccessreviews", "create"),
        rule("rbac.authorization.k8s.io", ("rolebindings", "roles"), (*_READ, *_WRITE)),
    ]


def _edit() -> list[JsonObject]:
    rule = rbac_objects.rule
    return [
        rule("", (*_STREAMS, "secrets", "services/proxy"), _READ),
        rule("", "serviceaccounts", "impersonate"),
        rule("", ("pods", *_STREAMS), _WRITE),
        rule("", "pods/eviction", "create"),
        rule("", (*_CORE, "secrets", "serviceaccounts", "services/proxy"), _WRITE),
        rule("", "serviceaccounts/token", "create"),
        rule("apps", ("daemonsets", *_APPS, "deployments/rollback"), _WRITE),
        rule("autoscaling", "horizontalpodautoscalers", _WRITE),
        rule("batch", _BATCH, _WRITE),
        rule("policy", "poddisruptionbudgets", _WRITE),
        rule("networking.k8s.io", _NETWORK, _WRITE),
        rule("coordination.k8s.io", "leases", (*_READ, *_WRITE)),
    ]


def _view() -> list[JsonObject]:
    rule = rbac_objects.rule
    core = (
        *_CORE, "bindings", "endpoints", "limitranges", "namespaces", "namespaces/status",
        "persistentvolumeclaims/status", "pods", "pods/log", "pods/status", "replicationcontrollers/status",
        "resourcequotas", "resourcequotas/status", "serviceaccounts", "services/status",
    )  # fmt: skip
    return [
        rule("", tuple(sorted(core)), _READ),
        rule("discovery.k8s.io", "endpointslices", _READ),
        rule("apps", ("controllerrevisions", "daemonsets", *_with_status(_APPS), "daemonsets/status"), _READ),
        rule("autoscaling", ("horizontalpodautoscalers", "horizontalpodautoscalers/status"), _READ),
        rule("batch", _with_status(_BATCH), _READ),
        rule("policy", _with_status(("poddisruptionbudgets",)), _READ),
        rule("networking.k8s.io", (*_NETWORK, "ingresses/status"), _READ),
    ]


def _with_status(resources: Iterable[str]) -> tuple[str, ...]:
    named = tuple(resources)
    return (*named, *(f"{each}/status" for each in named if "/" not in each))


def _plain(rule: rules.Rule) -> JsonObject:
    return rbac_objects.rule(rule.apiGroups or (), rule.resources or (), rule.verbs)
