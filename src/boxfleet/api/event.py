"""Event: something that happened to an object, said for people."""

from typing import ClassVar

import msgspec

from boxfleet.api import kind, meta


class ObjectReference(meta.Model):
    """The object that an event is about."""

    kind: str = ""
    apiVersion: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    resourceVersion: str = ""
    fieldPath: str = ""


class EventSource(meta.Model):
    """Who says it."""

    component: str = ""
    host: str = ""


class Event(meta.Object, kw_only=True):
    """Something that happened, counted when it happens again."""

    KIND: ClassVar[kind.Kind] = kind.Kind(
        group="",
        version="v1",
        kind="Event",
        plural="events",
        singular="event",
        short_names=("ev",),
        namespaced=True,
        model="core_v1.Event",
        status=False,
        selectable=(
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ),
        strategic=True,
    )

    involvedObject: ObjectReference = msgspec.field(default_factory=ObjectReference)
    reason: str = ""
    message: str = ""
    type: str = "Normal"
    count: int = 0
    firstTimestamp: str | None = None
    lastTimestamp: str | None = None
    source: EventSource = msgspec.field(default_factory=EventSource)
    reportingComponent: str = ""
    reportingInstance: str = ""
