"""Namespace: one environment of a tenant."""

from typing import ClassVar

import msgspec

from boxfleet.api import kind, meta


class NamespaceSpec(meta.Model):
    """What it waits for before it goes."""

    finalizers: list[str] = []


class NamespaceStatus(meta.Model):
    """Active or Terminating."""

    phase: str = ""
    conditions: list[meta.Condition] = []


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
        name_limit=63,
        strategic=True,
    )

    spec: NamespaceSpec = msgspec.field(default_factory=NamespaceSpec)
    status: NamespaceStatus = msgspec.field(default_factory=NamespaceStatus)
