"""Tenant and NamespaceSet: who shares the fleet, with which Namespaces, members and quotas."""

import datetime
import enum
from collections.abc import Callable
from typing import Annotated, Any, ClassVar

import msgspec

from boxfleet.api import cells, kind, limit_range, meta, tenant_rules


class SubjectKind(enum.StrEnum):
    """Who can be a member."""

    USER = "User"
    GROUP = "Group"
    SERVICE_ACCOUNT = "ServiceAccount"


class MemberRole(enum.StrEnum):
    """What a member can be: a ClusterRole of that name."""

    TENANT_ADMIN = "tenant-admin"
    DEVELOPER = "developer"
    VIEWER = "viewer"
    AUDITOR = "auditor"


class NamespacePolicy(enum.StrEnum):
    """What becomes of a Namespace that is no longer wanted."""

    RETAIN = "Retain"
    DELETE = "Delete"


class Member(meta.Model):
    """Somebody with a role in every Namespace of the tenant."""

    kind: Annotated[SubjectKind, msgspec.Meta(description="User, Group or ServiceAccount.")]
    name: Annotated[str, msgspec.Meta(description="The name of the user, group or ServiceAccount.")]
    role: Annotated[
        MemberRole,
        msgspec.Meta(description="The ClusterRole that is given: tenant-admin, developer, viewer or auditor."),
    ]
    namespace: Annotated[str, msgspec.Meta(description="The Namespace of a ServiceAccount.")] = ""


class TenantNamespace(meta.Model):
    """A Namespace that the tenant has."""

    name: Annotated[str, msgspec.Meta(description="Its name.")]
    adopt: Annotated[
        bool, msgspec.Meta(description="Take over a Namespace that is there already and belongs to no tenant.")
    ] = False


class TenantSpec(meta.Model):
    """Members, Namespaces, and what may be used in all of them together."""

    members: Annotated[list[Member], msgspec.Meta(description="Who may do what in the tenant's Namespaces.")] = []
    namespaces: Annotated[
        list[TenantNamespace],
        msgspec.Meta(
            description="Namespaces that the platform gives the tenant; they are made.", extra=meta.keyed_by("name")
        ),
    ] = []
    prefix: Annotated[
        str,
        msgspec.Meta(
            description="What the names of Namespaces begin with that tenant-admins may make by themselves, in the "
            "NamespaceSet of the tenant's name. The tenant's name and a hyphen when empty."
        ),
    ] = ""
    namespacePolicy: Annotated[
        NamespacePolicy,
        msgspec.Meta(
            description="What becomes of a Namespace that is no longer listed, or whose tenant goes: it stays with "
            "all that is in it and belongs to nobody, or it is deleted. One that was taken over always stays."
        ),
    ] = NamespacePolicy.RETAIN
    quota: Annotated[
        dict[str, str | int],
        msgspec.Meta(
            description="The most that all Namespaces may use together: cpu and memory (requests), instances, "
            "volumes, storage, addresses, namespaces."
        ),
    ] = {}
    limits: Annotated[
        list[limit_range.LimitItem],
        msgspec.Meta(description="A LimitRange in every Namespace: limits and defaults of containers, Pods, claims."),
    ] = []


class TenantStatus(meta.Model):
    """What the tenant has and uses."""

    observedGeneration: Annotated[int, msgspec.Meta(description="The generation that this status is about.")] = 0
    namespaces: Annotated[list[str], msgspec.Meta(description="The Namespaces that are the tenant's.")] = []
    hard: Annotated[dict[str, str], msgspec.Meta(description="The quota as it is enforced.")] = {}
    used: Annotated[dict[str, str], msgspec.Meta(description="What is used of it.")] = {}
    conditions: Annotated[
        list[meta.Condition], msgspec.Meta(description="Ready, and why not.", extra=meta.keyed_by("type"))
    ] = []


def _share(name: str) -> Callable[[kind.JsonObject, datetime.datetime], str]:
    def cell(obj: kind.JsonObject, now: datetime.datetime) -> str:
        status: dict[str, Any] = obj.get("status") or {}
        hard = (status.get("hard") or {}).get(name)
        return f"{(status.get('used') or {}).get(name, '0')}/{hard}" if hard is not None else ""

    return cell


def _column(title: str, description: str, *, priority: int = 0) -> kind.Column:
    name = title.lower()
    path = f".status.used.{name}"
    return kind.Column(name=title, cell=_share(name), path=path, priority=priority, description=description)


def _count(obj: kind.JsonObject, now: datetime.datetime) -> int:
    return len((obj.get("status") or {}).get("namespaces") or ())


class Tenant(meta.Object, kw_only=True):
    """A part of the enterprise that shares the fleet with others, and sees nothing of theirs."""

    KIND: ClassVar[kind.Kind] = kind.Kind(
        group=kind.GROUP,
        version=kind.VERSION,
        kind="Tenant",
        plural="tenants",
        singular="tenant",
        short_names=("tn",),
        namespaced=False,
        name_limit=63,
        columns=(
            kind.Column(name="Namespaces", type="integer", cell=_count, description="How many Namespaces it has."),
            _column("Instances", "Instances, of those allowed."),
            _column("CPU", "CPU asked for, of what is allowed."),
            _column("Memory", "Memory asked for, of what is allowed."),
            cells.STATE,
            cells.AGE,
            _column("Volumes", "Volumes, of those allowed.", priority=1),
            _column("Addresses", "Addresses, of those allowed.", priority=1),
            cells.REASON,
        ),
        default=tenant_rules.default,
        validate=tenant_rules.validate,
    )

    spec: TenantSpec = msgspec.field(default_factory=TenantSpec)
    status: TenantStatus = msgspec.field(default_factory=TenantStatus)


class NamespaceSetSpec(meta.Model):
    """What the tenant makes for itself."""

    namespaces: Annotated[
        list[str],
        msgspec.Meta(description="Names of Namespaces; each begins with the tenant's prefix, and each is made."),
    ] = []


class NamespaceSet(meta.Object, kw_only=True):
    """The Namespaces that a tenant's admins make by themselves; it has the name of its Tenant."""

    KIND: ClassVar[kind.Kind] = kind.Kind(
        group=kind.GROUP,
        version=kind.VERSION,
        kind="NamespaceSet",
        plural="namespacesets",
        singular="namespaceset",
        short_names=("nsset",),
        namespaced=False,
        name_limit=63,
        status=False,
        columns=(
            kind.Column(name="Namespaces", path=".spec.namespaces", description="The Namespaces that are wanted."),
            cells.AGE,
        ),
        validate=tenant_rules.validate_set,
    )

    spec: NamespaceSetSpec = msgspec.field(default_factory=NamespaceSetSpec)
