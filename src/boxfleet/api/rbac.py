"""Roles and bindings (rbac.authorization.k8s.io/v1): who may do what.

The types hold metadata alone: only the API server acts on rules, and it reads them in a form of its own.
"""

import datetime
from typing import Any, ClassVar

from boxfleet.api import cells, kind, meta, rbac_rules

_CREATED = kind.Column(name="Created At", path=".metadata.creationTimestamp", description="When it was created.")


def _role_of(obj: kind.JsonObject, now: datetime.datetime) -> str:
    reference = obj.get("roleRef", {})
    return f"{reference.get('kind')}/{reference.get('name')}"


def _subjects(sort: str, title: str) -> kind.Column:
    def cell(obj: kind.JsonObject, now: datetime.datetime) -> str:
        found: list[dict[str, Any]] = [each for each in obj.get("subjects") or [] if each.get("kind") == sort]
        if sort == "ServiceAccount":
            return ", ".join(f"{each.get('namespace', '')}/{each['name']}" for each in found)
        return ", ".join(each["name"] for each in found)

    return kind.Column(name=title, cell=cell, priority=1, description=f"{title} that it is given to.")


_BINDING_COLUMNS = (
    kind.Column(name="Role", cell=_role_of, description="What is given."),
    cells.AGE,
    _subjects("User", "Users"),
    _subjects("Group", "Groups"),
    _subjects("ServiceAccount", "ServiceAccounts"),
)


class Role(meta.Object, kw_only=True):
    """Rights in one namespace."""

    KIND: ClassVar[kind.Kind] = kind.Kind(
        group=rbac_rules.GROUP,
        version="v1",
        kind="Role",
        plural="roles",
        singular="role",
        namespaced=True,
        model="rbac_v1.Role",
        columns=(_CREATED,),
        status=False,
        name_fault=rbac_rules.name_fault,
        validate=rbac_rules.validate_role,
        strategic=True,
    )


class ClusterRole(meta.Object, kw_only=True):
    """Rights everywhere, or in the namespaces where a RoleBinding gives them."""

    KIND: ClassVar[kind.Kind] = kind.Kind(
        group=rbac_rules.GROUP,
        version="v1",
        kind="ClusterRole",
        plural="clusterroles",
        singular="clusterrole",
        namespaced=False,
        model="rbac_v1.ClusterRole",
        columns=(_CREATED,),
        status=False,
        name_fault=rbac_rules.name_fault,
        validate=rbac_rules.validate_cluster_role,
        strategic=True,
    )


class RoleBinding(meta.Object, kw_only=True):
    """Gives a role to subjects in one namespace."""

    KIND: ClassVar[kind.Kind] = kind.Kind(
        group=rbac_rules.GROUP,
        version="v1",
        kind="RoleBinding",
        plural="rolebindings",
        singular="rolebinding",
        namespaced=True,
        model="rbac_v1.RoleBinding",
        columns=_BINDING_COLUMNS,
        status=False,
        name_fault=rbac_rules.name_fault,
        default=rbac_rules.default_binding,
        validate=rbac_rules.validate_role_binding,
        strategic=True,
    )


class ClusterRoleBinding(meta.Object, kw_only=True):
    """Gives a ClusterRole to subjects everywhere."""

    KIND: ClassVar[kind.Kind] = kind.Kind(
        group=rbac_rules.GROUP,
        version="v1",
        kind="ClusterRoleBinding",
        plural="clusterrolebindings",
        singular="clusterrolebinding",
        namespaced=False,
        model="rbac_v1.ClusterRoleBinding",
        columns=_BINDING_COLUMNS,
        status=False,
        name_fault=rbac_rules.name_fault,
        default=rbac_rules.default_binding,
        validate=rbac_rules.validate_cluster_role_binding,
        strategic=True,
    )
