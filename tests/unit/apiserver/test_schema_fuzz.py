"""Whatever fits its schema must be safe to default, to judge, to print and to patch."""

import copy
import datetime
import random
import re
from typing import Any

import msgspec
import pytest

from boxfleet.api import catalog
from boxfleet.api import kind as kinds
from boxfleet.apiserver import schema, tables
from boxfleet.apiserver.schema import nodes

SCHEMAS = schema.Schemas(catalog.TYPES)
NOW = datetime.datetime(2026, 1, 31, tzinfo=datetime.UTC)
WORDS = (
    "",
    "a",
    "web",
    "A b",
    "a/b",
    "..",
    "/x/../y",
    "{{ units.a.ports.b }}",
    "{% for",
    "10.88.0.1",
    "Always",
    "ä" * 70,
)
QUANTITIES = (0, 1.5, "1000m", "1Gi", "-1", "9e99", "1e-99")


# Words of which one fits each pattern that there is.
FITTING = ("0644", "22:00", "unix:///a")


class Maker:
    """Makes objects that fit a schema, by chance."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def record(self, name: str, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, field in SCHEMAS.record(name).fields.items():
            if field.required or self.chance.random() < (0.6 if depth < 4 else 0.25 if depth < 9 else 0.0):
                made[key] = self.value(field.node, depth + 1)
        return made

    def value(self, node: nodes.Node, depth: int) -> Any:
        match node:
            case nodes.Ref():
                return self.record(node.name, depth)
            case nodes.Array():
                return [self.value(node.items, depth + 1) for _ in range(self.chance.randrange(3))]
            case nodes.Mapping():
                return {
                    self.chance.choice(WORDS): self.value(node.values, depth + 1)
                    for _ in range(self.chance.randrange(3))
                }
            case nodes.Quantity():
                return self.chance.choice(QUANTITIES)
            case nodes.IntOrString():
                return self.chance.choice([0, 80, -1, *WORDS])
            case nodes.Anything():
                return {"a": [1, None]}
            case nodes.Scalar():
                return self.scalar(node)

    def scalar(self, node: nodes.Scalar) -> Any:
        if node.type == "boolean":
            return self.chance.random() < 0.5
        if node.type in ("integer", "number"):
            low = self.chance.choice([0, 0, -5]) if node.minimum is None else node.minimum
            return self.chance.choice([int(low), max(int(low), 1), min(int(node.maximum or 80), 80)])
        if node.format == "date-time":
            return "2026-01-31T12:00:00Z"
        if node.format == "byte":
            return "ZGF0YQ=="
        if node.enum:
            return self.chance.choice(node.enum)
        if node.pattern:
            return next(word for word in FITTING if re.search(node.pattern, word))
        return self.chance.choice(WORDS)[: node.max_length]


def made(type_: Any, seed: int) -> dict[str, Any]:
    obj = Maker(seed).record(SCHEMAS.root(type_.KIND), 0)
    obj["metadata"] = {"name": "a", "namespace": "default"}
    return obj


@pytest.mark.parametrize("type_", catalog.TYPES, ids=lambda type_: type_.__name__)
def test_what_fits_its_schema_is_safe(type_: Any) -> None:
    kind = type_.KIND
    SCHEMAS.check(kind, {})
    for seed in range(60):
        obj = made(type_, seed)
        checked = SCHEMAS.check(kind, obj)
        assert (checked.errors, checked.unknown, checked.prunable) == ([], [], False)
        kind.default(obj)
        # A spec that was missing may come out empty; rules then ask for what it must have.
        assert all(error.reason is kinds.Reason.REQUIRED for error in SCHEMAS.check(kind, obj).errors)
        once = copy.deepcopy(obj)
        kind.default(obj)
        assert obj == once
        for error in kind.validate(obj, None):
            assert error.field
            assert error.message
        assert kind.validate(obj, obj) is not None
        other = made(type_, seed + 1000)
        kind.default(other)
        kind.validate(other, obj)
        assert obj == once
        if kind.grace is not None:
            kind.grace(obj)
        msgspec.json.encode(tables.table(kind, [obj], now=NOW))
        pruned = copy.deepcopy(obj)
        SCHEMAS.prune(kind, pruned)
        assert pruned == obj


@pytest.mark.parametrize(
    "type_", [each for each in catalog.TYPES if each.KIND.strategic], ids=lambda type_: type_.__name__
)
def test_any_object_is_a_patch_to_any_other(type_: Any) -> None:
    kind = type_.KIND
    SCHEMAS.check(kind, {})
    for seed in range(60):
        obj, patch = made(type_, seed), made(type_, seed + 1000)
        try:
            merged = SCHEMAS.strategic_merge(kind, obj, patch)
        except schema.PatchError:
            continue
        assert not SCHEMAS.check(kind, merged).errors
        assert SCHEMAS.strategic_merge(kind, merged, {}) == merged


def broken(value: Any, chance: random.Random) -> Any:
    """The same with something else in one place."""
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(list(value))
        return value | {key: broken(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.9:
        place = chance.randrange(len(value))
        return [*value[:place], broken(value[place], chance), *value[place + 1 :]]
    return chance.choice([None, 1, 1.5, "x", True, [], {}, [None], {"$patch": "x"}, 2**70, {"": None}])


@pytest.mark.parametrize("type_", catalog.TYPES, ids=lambda type_: type_.__name__)
def test_nothing_crashes_the_check(type_: Any) -> None:
    chance = random.Random(1)
    kind = type_.KIND
    for seed in range(200):
        obj = broken(made(type_, seed), chance)
        if not isinstance(obj, dict):
            continue
        checked = SCHEMAS.check(kind, obj)
        if checked.errors:
            assert all(error.field and error.message for error in checked.errors)
            continue
        SCHEMAS.prune(kind, obj)
        again = SCHEMAS.check(kind, obj)
        assert (again.errors, again.unknown, again.prunable) == ([], [], False)
        obj["metadata"] = obj.get("metadata") or {"name": "a"}
        kind.default(obj)
        kind.validate(obj, None)
