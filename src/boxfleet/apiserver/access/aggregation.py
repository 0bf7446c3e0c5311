"""Gathered ClusterRoles: the rules of one with an ``aggregationRule`` are those of all whose labels it selects."""

from collections.abc import Iterable
from typing import Any

import msgspec

from boxfleet.api import rbac
from boxfleet.apiserver import registry, writing
from boxfleet.apiserver.access import rules
from boxfleet.store import errors

JsonObject = dict[str, Any]

# Seconds between looks without a signal.
_PERIOD = 600.0


_Rules = list[rules.Rule]


class _Requirement(msgspec.Struct):
    key: str
    operator: str
    values: list[str] | None = []


class _Selector(msgspec.Struct):
    matchLabels: dict[str, str] | None = {}
    matchExpressions: list[_Requirement] | None = []


class _AggregationRule(msgspec.Struct):
    clusterRoleSelectors: list[_Selector] | None = []


class _Meta(msgspec.Struct):
    name: str
    labels: dict[str, str] = {}


class _Role(msgspec.Struct):
    metadata: _Meta
    rules: _Rules | None = []
    aggregationRule: _AggregationRule | None = None


_roles = msgspec.json.Decoder(_Role)


class Aggregation:
    """Keeps the rules of gathered ClusterRoles."""

    def __init__(self, objects: registry.Registry, writing: writing.Writing) -> None:
        self._objects = objects
        self._writing = writing

    async def run(self) -> None:
        """Settle after every change of a ClusterRole, until the store closes."""
        store = self._objects.store
        while True:
            try:
                changes = store.watch(registry.prefix(rbac.ClusterRole.KIND), after=store.revision)
            except errors.Closed:
                return
            with changes:
                await self.settle()
                while not changes.closed:
                    await changes.take(timeout=_PERIOD)
                    await self.settle()

    async def settle(self) -> None:
        """Write the rules that are not as they should be."""
        known = [_roles.decode(row.value) for row in self._objects.store.range(registry.prefix(rbac.ClusterRole.KIND))]
        for role in known:
            if role.aggregationRule is None:
                continue
            wanted = gathered(role, known)
            if wanted != (role.rules or []):
                await self._write(role.metadata.name, wanted)

    async def _write(self, name: str, wanted: list[rules.Rule]) -> None:
        plain = [{key: list(value) for key, value in msgspec.to_builtins(rule).items() if value} for rule in wanted]

        def change(role: JsonObject) -> JsonObject:
            # It may no longer be a gathered one.
            return {**role, "rules": plain} if role.get("aggregationRule") else role

        if self._objects.store.get(registry.key(rbac.ClusterRole.KIND, namespace="", name=name)) is not None:
            await self._writing.update(rbac.ClusterRole.KIND, namespace="", name=name, change=change)


def gathered(role: _Role, known: Iterable[_Role]) -> list[rules.Rule]:
    """The rules of all other roles that a role selects, each once, in order of names."""
    selectors = (role.aggregationRule.clusterRoleSelectors or []) if role.aggregationRule is not None else []
    found: dict[rules.Rule, None] = {}
    for each in known:
        if each.metadata.name != role.metadata.name and any(_selects(one, each.metadata.labels) for one in selectors):
            found.update(dict.fromkeys(each.rules or ()))
    return list(found)


def _selects(selector: _Selector, labels: dict[str, str]) -> bool:
    wanted = (selector.matchLabels or {}).items()
    return wanted <= labels.items() and all(_meets(one, labels) for one in selector.matchExpressions or ())


def _meets(one: _Requirement, labels: dict[str, str]) -> bool:
    match one.operator:
        case "In":
            return labels.get(one.key) in (one.values or ())
        case "NotIn":
            return labels.get(one.key) not in (one.values or ())
        case "Exists":
            return one.key in labels
        case _:
            return one.key not in labels
