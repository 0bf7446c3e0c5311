"""Nobody gives rights that he has not: what a user may write of roles and bindings.

The rules are Kubernetes': whoever has the verb ``escalate`` on a role, or ``bind`` on the role of a binding, may.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from boxfleet.api import kind as kinds
from boxfleet.api import rbac, rbac_rules
from boxfleet.apiserver import authn, authz, faults
from boxfleet.apiserver.access import index, roles, rules

JsonObject = dict[str, Any]

_EVERYTHING = (
    rules.Rule(verbs=("*",), apiGroups=("*",), resources=("*",)),
    rules.Rule(verbs=("*",), nonResourceURLs=("*",)),
)


class Escalation:
    """Holds writes of roles and bindings against the rights of who writes."""

    def __init__(self, known: index.Index, rights: roles.RoleAuthorizer, authorizer: authz.Authorizer) -> None:
        self._index = known
        self._rights = rights
        self._authorizer = authorizer

    def check(self, user: authn.User, kind: kinds.Kind, new: JsonObject, old: JsonObject | None) -> None:
        """Raise Fault 403 when the write would give more than the user has; 404 when the role is not there."""
        if kind.group != rbac_rules.GROUP or authz.MASTERS in user.groups:
            return
        if kind in (rbac.Role.KIND, rbac.ClusterRole.KIND):
            self._check_role(user, kind, new, old)
        else:
            self._check_binding(user, kind, new, old)

    def _check_role(self, user: authn.User, kind: kinds.Kind, new: JsonObject, old: JsonObject | None) -> None:
        if old is not None and _same(new, old, "rules") and _same(new, old, "aggregationRule"):
            return
        data = new["metadata"]
        if self._may(user, "escalate", kind, namespace=data.get("namespace", ""), name=data["name"]):
            return
        self._hold(user, kind, new, _rules(new.get("rules")))
        if new.get("aggregationRule") or (old is not None and old.get("aggregationRule")):
            self._hold(user, kind, new, _EVERYTHING, "must have cluster-admin privileges to use an aggregationRule: ")

    def _check_binding(self, user: authn.User, kind: kinds.Kind, new: JsonObject, old: JsonObject | None) -> None:
        if old is not None and _same(new, old, "roleRef") and _same(new, old, "subjects"):
            return
        reference, namespace = new["roleRef"], new["metadata"].get("namespace", "")
        role = rbac.Role.KIND if reference["kind"] == "Role" else rbac.ClusterRole.KIND
        if self._may(user, "bind", role, namespace=namespace, name=reference["name"]):
            return
        self._index.refresh()
        given = self._index.role(namespace=namespace if role.namespaced else "", name=reference["name"])
        if given is None:
            raise faults.not_found(role, reference["name"])
        self._hold(user, kind, new, given)

    def _may(self, user: authn.User, verb: str, kind: kinds.Kind, *, namespace: str, name: str) -> bool:
        wish = authz.Attributes(verb=verb, group=kind.group, resource=kind.plural, namespace=namespace, name=name)
        return self._authorizer.decide(user, wish).allowed

    def _hold(
        self, user: authn.User, kind: kinds.Kind, new: JsonObject, wanted: Iterable[rules.Rule], before: str = ""
    ) -> None:
        data = new["metadata"]
        owned = self._rights.rules_of(user, namespace=data.get("namespace", ""))
        lacking = rules.missing(owned, wanted)
        if lacking:
            listed = "\n".join(sorted(rules.shown(rule) for rule in rules.compact(lacking)))
            raise faults.forbidden(
                kind,
                data["name"],
                f"{before}user {msgspec.json.encode(user.name).decode()} (groups={rules.listed(user.groups)}) is "
                f"attempting to grant RBAC permissions not currently held:\n{listed}",
            )


def _same(new: JsonObject, old: JsonObject, field: str) -> bool:
    return (new.get(field) or None) == (old.get(field) or None)


def _rules(given: Any) -> tuple[rules.Rule, ...]:
    return msgspec.convert(given or (), tuple[rules.Rule, ...])
