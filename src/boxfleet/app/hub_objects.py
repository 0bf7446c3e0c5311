"""What Boxfleet is in a Kubernetes cluster that is its home: kinds, accounts, rights and the controllers."""

from collections.abc import Iterator
from typing import Any

from boxfleet.api import catalog, kind, meta, rbac_rules, roles
from boxfleet.apiserver.custom import exported

Json = dict[str, Any]

NAMESPACE = "boxfleet-system"
# Who owns the fields that are written by an installation.
MANAGER = "boxfleet-install"
# Boxfleet's own parts that work on a hub; what the others do, Kubernetes does there itself.
PARTS = (roles.CONTROLLERS, roles.CLUSTER_CONTROLLER, roles.SCHEDULER, roles.TENANT_CONTROLLER)
_LABELS = {"app.kubernetes.io/name": "boxfleet", "app.kubernetes.io/managed-by": "boxfleet"}
_DEPLOYMENT = "controllers"


def own_kinds() -> list[type[meta.Object]]:
    """The kinds that Kubernetes lacks."""
    return [each for each in catalog.TYPES if each.KIND.group == kind.GROUP]


def account_of(part: str) -> str:
    """The ServiceAccount that a part is."""
    return part.rpartition(":")[2]


def user_of(part: str) -> str:
    """The user that this ServiceAccount is."""
    return f"system:serviceaccount:{NAMESPACE}:{account_of(part)}"


def all_of(*, image: str, replicas: int, selectable: bool) -> list[Json]:
    """Everything in the order in which it is made; `selectable`: the server knows selectable fields."""
    return [
        _object("v1", "Namespace", NAMESPACE, namespace=""),
        *_definitions(selectable=selectable),
        *(_object("v1", "ServiceAccount", account_of(each)) for each in PARTS),
        *_rights(),
        _deployment(image, replicas),
    ]


def _definitions(*, selectable: bool) -> Iterator[Json]:
    for each in exported.definitions(own_kinds(), selectable=selectable):
        each["metadata"]["labels"] = dict(_LABELS)
        yield each


def _rights() -> Iterator[Json]:
    """The parts' own roles, each for its account, and what people's roles get for our kinds."""
    bindings = []
    for found in roles.objects():
        name, sort = found["metadata"]["name"], found["kind"]
        wanted = name in PARTS or name in _PEOPLE or name in roles.OF_TENANTS
        if sort != "ClusterRole" or not wanted:
            continue
        # Kubernetes' own mark of what it makes at its start is none of ours.
        kept = {key: value for key, value in found["metadata"]["labels"].items() if key.startswith(rbac_rules.GROUP)}
        yield found | {"metadata": {"name": name, "labels": kept | _LABELS}}
        if name in PARTS:
            subject = {"kind": "ServiceAccount", "name": account_of(name), "namespace": NAMESPACE}
            reference = {"apiGroup": rbac_rules.GROUP, "kind": "ClusterRole", "name": name}
            binding = _object(f"{rbac_rules.GROUP}/v1", "ClusterRoleBinding", name, namespace="")
            bindings.append(binding | {"roleRef": reference, "subjects": [subject]})
    yield from bindings
    # One process is all parts: it speaks as each of them, and has no more rights at once than that one.
    accounts = [account_of(each) for each in PARTS]
    rule = {"apiGroups": [""], "resources": ["serviceaccounts"], "resourceNames": accounts, "verbs": ["impersonate"]}
    yield _object(f"{rbac_rules.GROUP}/v1", "Role", "parts") | {"rules": [rule]}
    yield _object(f"{rbac_rules.GROUP}/v1", "RoleBinding", "parts") | {
        "roleRef": {"apiGroup": rbac_rules.GROUP, "kind": "Role", "name": "parts"},
        "subjects": [{"kind": "ServiceAccount", "name": account_of(PARTS[0]), "namespace": NAMESPACE}],
    }


# What our kinds add to the roles that Kubernetes has for people.
_PEOPLE = ("boxfleet:view", "boxfleet:edit", "boxfleet:audit")


def _deployment(image: str, replicas: int) -> Json:
    marks = _LABELS | {"app.kubernetes.io/component": _DEPLOYMENT}
    container = {
        "name": _DEPLOYMENT,
        "image": image,
        "args": ["controllers"],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    pod = {
        "serviceAccountName": account_of(PARTS[0]),
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    return _object("apps/v1", "Deployment", _DEPLOYMENT) | {
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": marks},
            "template": {"metadata": {"labels": marks}, "spec": pod},
        }
    }


def _object(version: str, sort: str, name: str, *, namespace: str = NAMESPACE) -> Json:
    where = {"namespace": namespace} if namespace else {}
    return {"apiVersion": version, "kind": sort, "metadata": {"name": name, **where, "labels": dict(_LABELS)}}
