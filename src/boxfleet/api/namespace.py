"""Namespace: one environment of a tenant."""

from typing import ClassVar

import msgspec

from boxfleet.api import cells, kind, meta


class NamespaceSpec(meta.Model):
    """What it waits for before it goes."""

    finalizers: list[str] = []


class NamespaceStatus(meta.Model):
    """Active or Terminating."""

    phase: str = ""
    conditions: list[meta.Condition] = []


def _default(obj: kind.JsonObject) -> None:
    """A Namespace is there for use until it is deleted."""
    obj.setdefault("status", {}).setdefault("phase", "Active")


class Namespace(meta.Object, kw_only=True):
    """A room for names; deleting it deletes all that is in it."""

    KIND: ClassVar[kind.Kind] = kind.Kind(
        group="",
        version="v1",
        kind="Namespace",
        plural="namespaces",
        singular="namespace",
        short_names=("ns",),
        namespaced=False,
        model="core_v1.Namespace",
        selectable=("status.phase",),
        # Nobody deletes all Namespaces at once.
        verbs=tuple(verb for verb in kind.VERBS if verb != "deletecollection"),
        columns=(
            kind.Column(name="Status", path=".status.phase", description="Active or Terminating."),
            cells.AGE,
        ),
        default=_default,
        name_limit=63,
        strategic=True,
    )

    spec: NamespaceSpec = msgspec.field(default_factory=NamespaceSpec)
    status: NamespaceStatus = msgspec.field(default_factory=NamespaceStatus)
