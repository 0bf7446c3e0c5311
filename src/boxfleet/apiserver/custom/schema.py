"""One version's schema, compiled once: pruning, defaulting, validation."""

from typing import Any

from boxfleet.api import kind as kinds
from boxfleet.apiserver.custom import rules, shaping, typed, values

JsonObject = dict[str, Any]


class VersionSchema:
    """Implements `schema.Custom`, and the default and validation of the version's kind."""

    def __init__(self, root: str, stated: JsonObject) -> None:
        """`stated` is a structural ``openAPIV3Schema``."""
        self.root = root
        self.stated = stated
        self.records = typed.records(root, stated)
        self._prune = shaping.pruner(stated, root=True)
        self._default = shaping.defaulter(stated)
        self._check = values.compile(stated)
        self._rules = rules.compile(stated)
        # Objects written before the definition may lack what it fills in or drops.
        self.shapes = self._default is not None or not stated.get("x-kubernetes-preserve-unknown-fields")

    def prune(self, obj: JsonObject) -> list[str]:
        """Take out what the schema does not know; gives the paths of what went."""
        gone: list[str] = []
        if self._prune is not None:
            self._prune(obj, "", gone)
        return gone

    def default(self, obj: JsonObject) -> None:
        """Fill what is missing."""
        if self._default is not None:
            self._default(obj)

    def validate(self, new: JsonObject, old: JsonObject | None) -> list[kinds.FieldError]:
        """What is wrong with an object. What was wrong before and did not change is let pass (ratcheting)."""
        errors: list[kinds.FieldError] = []
        self._check(new, "", errors)
        if errors and old is not None:
            errors = [error for error in errors if not _unchanged(error, new, old)]
        if not errors and self._rules is not None:
            errors = self._rules.errors(new, old)
        return errors


def _unchanged(error: kinds.FieldError, new: JsonObject, old: JsonObject) -> bool:
    path = error.field
    if error.reason is kinds.Reason.REQUIRED:
        path = path.rpartition(".")[0]
    if error.reason is kinds.Reason.DUPLICATE:
        path = path.rpartition("[")[0]
    before, after = _find(old, path), _find(new, path)
    return path != "" and before is not _MISSING and before == after


_MISSING: Any = object()


def _find(value: Any, path: str) -> Any:
    for step in path.replace("[", ".[").split("."):
        if step.startswith("[") and isinstance(value, list):
            index = step[1:-1]
            value = value[int(index)] if index.isdigit() and int(index) < len(value) else _MISSING
        elif isinstance(value, dict):
            value = value.get(step, _MISSING)
        else:
            return _MISSING
    return value
