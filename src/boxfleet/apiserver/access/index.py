"""Roles and bindings in memory, by subject, kept by the store's changes.

Before an answer, what was committed since the last one is taken in, without waiting: a decision sees every write that
was acknowledged before it.
"""

from collections.abc import Iterable, Iterator, Mapping

import msgspec
import structlog

from boxfleet.api import rbac, rbac_rules
from boxfleet.apiserver import authn, registry
from boxfleet.apiserver.access import rules
from boxfleet.store import errors, rows, store

log = structlog.get_logger()

PREFIX = f"/{rbac_rules.GROUP}/"
_ROLES = registry.prefix(rbac.Role.KIND)
_CLUSTER_ROLES = registry.prefix(rbac.ClusterRole.KIND)
_BINDINGS = registry.prefix(rbac.RoleBinding.KIND)
_CLUSTER_BINDINGS = registry.prefix(rbac.ClusterRoleBinding.KIND)

# Whom a binding is for: its sort (User or Group) and name.
Subject = tuple[str, str]


_Rules = tuple[rules.Rule, ...]


class _Meta(msgspec.Struct):
    name: str
    namespace: str = ""


class _Role(msgspec.Struct):
    rules: _Rules | None = ()


class _Reference(msgspec.Struct):
    kind: str = ""
    name: str = ""


class _SubjectRow(msgspec.Struct):
    kind: str = ""
    name: str = ""
    namespace: str = ""


class _BindingRow(msgspec.Struct):
    metadata: _Meta
    roleRef: _Reference
    subjects: list[_SubjectRow] | None = []


class Binding(msgspec.Struct, frozen=True):
    """A role given to subjects. `said` names binding and role in reasons."""

    role: str
    said: str
    lost: str
    subjects: tuple[Subject, ...]


class Grant(msgspec.Struct, frozen=True):
    """A rule that somebody has, and why."""

    rule: rules.Rule
    reason: str


_roles = msgspec.json.Decoder(_Role)
_bindings = msgspec.json.Decoder(_BindingRow)


class Index:
    """All roles and bindings. `version` counts changes."""

    def __init__(self, objects: store.Store) -> None:
        self._store = objects
        self.version = 0
        self._roles: dict[str, tuple[rules.Rule, ...]] = {}
        self._bindings: dict[str, Binding] = {}
        # Keys of bindings by subject and namespace (empty: everywhere).
        self._given: dict[Subject, dict[str, dict[str, None]]] = {}
        self._changes: rows.Subscription | None = None
        self._load()

    def refresh(self) -> None:
        """Take in what was committed meanwhile."""
        changes = self._changes
        if changes is None or changes.closed:
            self._load()
        elif changes.waiting:
            for change in changes.take_waiting():
                self._put(change.key, None if change.deleted else change.value)

    def role(self, *, namespace: str, name: str) -> tuple[rules.Rule, ...] | None:
        """The rules of a Role, or of a ClusterRole when there is no namespace; None when it is not there."""
        prefix = f"{_ROLES}{namespace}/" if namespace else f"{_CLUSTER_ROLES}/"
        return self._roles.get(prefix + name)

    def bound(self, subjects: Iterable[Subject]) -> list[Mapping[str, Iterable[str]]]:
        """What there is for each of some subjects, by namespace; to be looked at only until the next change."""
        return [given for subject in subjects if (given := self._given.get(subject)) is not None]

    def grants(self, subjects: Iterable[Subject], *, namespace: str) -> tuple[list[Grant], list[str]]:
        """What is given to subjects in a namespace (empty: everywhere), and the roles that were not found for it."""
        found: list[Grant] = []
        lost: list[str] = []
        for subject in subjects:
            for key in self._given.get(subject, {}).get(namespace, ()):
                binding = self._bindings[key]
                role = self._roles.get(binding.role)
                if role is None:
                    lost.append(binding.lost)
                    continue
                reason = f"RBAC: allowed by {binding.said} to {_worded(subject)}"
                found += [Grant(rule, reason) for rule in role]
        return found, list(dict.fromkeys(lost))

    def _load(self) -> None:
        """Read everything anew, and follow changes from there."""
        try:
            self._changes = self._store.watch(PREFIX, after=self._store.revision)
        except errors.Closed:
            # The server is ending: what is known stays true until then.
            return
        self.version += 1
        self._roles.clear()
        self._bindings.clear()
        self._given.clear()
        for row in self._store.range(PREFIX):
            self._put(row.key, row.value)

    def _put(self, key: str, value: bytes | None) -> None:
        self.version += 1
        try:
            self._take(key, value)
        except msgspec.MsgspecError as error:
            # Written by another release. It gives nothing; all others count on.
            log.error("a role or binding cannot be read: write it anew", key=key, error=str(error))
            self._take(key, None)

    def _take(self, key: str, value: bytes | None) -> None:
        if key.startswith((_ROLES, _CLUSTER_ROLES)):
            if value is None:
                self._roles.pop(key, None)
            else:
                self._roles[key] = _roles.decode(value).rules or ()
            return
        if not key.startswith((_BINDINGS, _CLUSTER_BINDINGS)):
            return
        namespace = key.rsplit("/", 2)[1]
        old = self._bindings.pop(key, None)
        if old is not None:
            self._forget(namespace, key, old.subjects)
        if value is not None:
            new = self._bindings[key] = _binding(_bindings.decode(value))
            for subject in new.subjects:
                self._given.setdefault(subject, {}).setdefault(namespace, {})[key] = None

    def _forget(self, namespace: str, key: str, subjects: Iterable[Subject]) -> None:
        for subject in subjects:
            given = self._given[subject]
            keys = given[namespace]
            del keys[key]
            if not keys:
                del given[namespace]
            if not given:
                del self._given[subject]


def _binding(row: _BindingRow) -> Binding:
    namespace = row.metadata.namespace
    reference = row.roleRef
    in_namespace = reference.kind == "Role"
    role = f"{_ROLES}{namespace}/{reference.name}" if in_namespace else f"{_CLUSTER_ROLES}/{reference.name}"
    binding = (
        f'RoleBinding "{row.metadata.name}/{namespace}"' if namespace else f'ClusterRoleBinding "{row.metadata.name}"'
    )
    return Binding(
        role=role,
        said=f'{binding} of {reference.kind} "{reference.name}"',
        lost=f'{reference.kind.lower()}.{rbac_rules.GROUP} "{reference.name}" not found',
        subjects=tuple(dict.fromkeys(_subjects(row.subjects or (), namespace))),
    )


def subjects_of(user: authn.User) -> tuple[Subject, ...]:
    """What a user is in bindings: himself, and his groups."""
    return (("User", user.name), *(("Group", group) for group in user.groups))


def _subjects(given: Iterable[_SubjectRow], namespace: str) -> Iterator[Subject]:
    for subject in given:
        if subject.kind == "ServiceAccount":
            # It calls by this name.
            yield "User", authn.service_account_name(subject.namespace or namespace, subject.name)
        else:
            yield subject.kind, subject.name


def _worded(subject: Subject) -> str:
    sort, name = subject
    account = authn.service_account_of(name) if sort == "User" else None
    return f'ServiceAccount "{account[1]}/{account[0]}"' if account else f'{sort} "{name}"'
