"""The rights that the driver needs, as manifests for the owner of a cluster."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Final

JsonObject = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """Verbs on a resource; `fatal` when nothing can be delivered without them."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    purpose: str
    fatal: bool = True


_MADE: Final = ("list", "create", "patch", "delete")
RIGHTS: Final = (
    Right(group="", resource="namespaces", verbs=("get", "create"), purpose="a Namespace for each of Boxfleet's"),
    Right(group="", resource="pods", verbs=("get", "watch", *_MADE), purpose="instances"),
    Right(group="", resource="services", verbs=_MADE, purpose="names of instances"),
    Right(group="", resource="configmaps", verbs=_MADE, purpose="files"),
    Right(group="", resource="secrets", verbs=_MADE, purpose="secrets that instances use"),
    Right(group="", resource="persistentvolumeclaims", verbs=("get", *_MADE), purpose="data of instances"),
    Right(group="apps", resource="statefulsets", verbs=("get", *_MADE), purpose="instances"),
    Right(
        group="policy", resource="poddisruptionbudgets", verbs=_MADE, purpose="spec.disruption of Units", fatal=False
    ),
    Right(group="", resource="pods/log", verbs=("get",), purpose="kubectl logs", fatal=False),
    Right(group="", resource="pods/exec", verbs=("create",), purpose="kubectl exec", fatal=False),
    Right(group="", resource="pods/attach", verbs=("create",), purpose="kubectl attach", fatal=False),
    Right(group="", resource="pods/portforward", verbs=("create",), purpose="kubectl port-forward", fatal=False),
    Right(group="", resource="nodes", verbs=("list", "watch"), purpose="hosts and their capacity", fatal=False),
    Right(
        group="storage.k8s.io", resource="storageclasses", verbs=("get", "list"), purpose="a look at them", fatal=False
    ),
    Right(group="metrics.k8s.io", resource="pods", verbs=("list",), purpose="kubectl top", fatal=False),
    Right(group="metrics.k8s.io", resource="nodes", verbs=("get",), purpose="kubectl top", fatal=False),
)


def manifests(
    *,
    name: str = "boxfleet",
    namespace: str = "boxfleet-access",
    token_secret: bool = True,
    kubelet_summaries: bool = False,
) -> Sequence[JsonObject]:
    """A Namespace with an account, its rights, and a Secret that Kubernetes fills with its token.

    `kubelet_summaries` adds the right to ask kubelets for measurements where there is no metrics server; it also lets
    the account reach everything else that kubelets offer, so that it is not given by itself.
    """
    rights = list(RIGHTS)
    if kubelet_summaries:
        rights.append(Right(group="", resource="nodes/proxy", verbs=("get",), purpose="kubectl top", fatal=False))
    account = {"name": name, "namespace": namespace}
    found: list[JsonObject] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": account,
            "automountServiceAccountToken": False,
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": name},
            "rules": [
                {"apiGroups": [each.group], "resources": [each.resource], "verbs": sorted(each.verbs)}
                for each in rights
            ],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", **account}],
        },
    ]
    if token_secret:
        found.append(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {
                    "name": f"{name}-token",
                    "namespace": namespace,
                    "annotations": {"kubernetes.io/service-account.name": name},
                },
                "type": "kubernetes.io/service-account-token",
            }
        )
    return found
