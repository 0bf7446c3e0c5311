"""PriorityClass: a name for how important Pods are (scheduling.k8s.io/v1)."""

from typing import ClassVar

from boxfleet.api import cells, fields, kind, meta

_MOST = 1_000_000_000
# What Kubernetes itself has; nothing else may begin like them.
SYSTEM = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
_POLICIES = ("PreemptLowerPriority", "Never")


def _default(obj: kind.JsonObject) -> None:
    obj.setdefault("preemptionPolicy", _POLICIES[0])


def _validate(new: kind.JsonObject, old: kind.JsonObject | None) -> list[kind.FieldError]:
    name, value = new["metadata"]["name"], new.get("value", 0)
    errors: list[kind.FieldError] = []
    if name.startswith("system-"):
        if SYSTEM.get(name) != value:
            text = "priority class names with 'system-' prefix are reserved for system use only"
            errors.append(fields.forbidden("metadata.name", text))
    elif value > _MOST:
        text = f"maximum allowed value of a user defined priority is {_MOST}"
        errors.append(fields.forbidden("value", text))
    errors += fields.one_of("preemptionPolicy", new.get("preemptionPolicy"), _POLICIES)
    if old is not None:
        if old.get("value", 0) != value:
            errors.append(fields.forbidden("value", "may not be changed in an update."))
        if old.get("preemptionPolicy") != new.get("preemptionPolicy"):
            errors.append(fields.invalid("preemptionPolicy", new.get("preemptionPolicy"), "field is immutable"))
    return errors


class PriorityClass(meta.Object, kw_only=True):
    """How important the Pods are that name it."""

    KIND: ClassVar[kind.Kind] = kind.Kind(
        group="scheduling.k8s.io",
        version="v1",
        kind="PriorityClass",
        plural="priorityclasses",
        singular="priorityclass",
        short_names=("pc",),
        namespaced=False,
        model="scheduling_v1.PriorityClass",
        status=False,
        columns=(
            kind.Column(name="Value", type="integer", path=".value", description="The higher, the more important."),
            kind.Column(
                name="Global-Default",
                type="boolean",
                cell=lambda obj, now: bool(obj.get("globalDefault")),
                description="Whether Pods that name none have it.",
            ),
            cells.AGE,
            kind.Column(
                name="PreemptionPolicy", path=".preemptionPolicy", description="Whether others make room for it."
            ),
        ),
        default=_default,
        validate=_validate,
        strategic=True,
    )

    value: int = 0
    globalDefault: bool = False
    description: str = ""
    preemptionPolicy: str = ""
