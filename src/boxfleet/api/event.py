"""Event: something that happened to an object, said for people."""

import datetime
from typing import ClassVar

import msgspec

from boxfleet.api import cells, fields, kind, meta


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


def _default(obj: kind.JsonObject) -> None:
    """An event happens once unless it says otherwise."""
    obj.setdefault("type", "Normal")
    obj.setdefault("source", {})


def _validate(new: kind.JsonObject, old: kind.JsonObject | None) -> list[kind.FieldError]:
    """An event lives in the namespace of what it is about."""
    about = (new.get("involvedObject") or {}).get("namespace") or "default"
    own = new["metadata"].get("namespace", "")
    if about == own:
        return []
    detail = f"must be {own!r}, the namespace of the event itself (default for what has no namespace)"
    return [fields.invalid("involvedObject.namespace", about, detail)]


def _last_seen(event: kind.JsonObject, now: datetime.datetime) -> str:
    series = event.get("series") or {}
    return cells.age(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime"), now)


def _first_seen(event: kind.JsonObject, now: datetime.datetime) -> str:
    return cells.age(event.get("firstTimestamp") or event.get("eventTime"), now)


def _about(event: kind.JsonObject, now: datetime.datetime) -> str:
    about = event.get("involvedObject") or {}
    return f"{about.get('kind', '').lower()}/{about.get('name', '')}"


def _source(event: kind.JsonObject, now: datetime.datetime) -> str:
    source = event.get("source") or {}
    component = source.get("component") or event.get("reportingComponent") or ""
    host = source.get("host") or event.get("reportingInstance") or ""
    return f"{component}, {host}" if host else component


def _message(event: kind.JsonObject, now: datetime.datetime) -> str:
    return str(event.get("message") or "").strip()


def _count(event: kind.JsonObject, now: datetime.datetime) -> int:
    return (event.get("series") or {}).get("count") or event.get("count") or 1


_COLUMNS = (
    kind.Column(name="Last Seen", cell=_last_seen, description="When it happened last."),
    kind.Column(name="Type", path=".type", description="Normal or Warning."),
    kind.Column(name="Reason", path=".reason", description="What happened, in a word."),
    kind.Column(name="Object", cell=_about, description="What it is about."),
    kind.Column(name="Subobject", path=".involvedObject.fieldPath", priority=1, description="Which part of it."),
    kind.Column(name="Source", cell=_source, priority=1, description="Who says so."),
    kind.Column(name="Message", cell=_message, description="What happened, in a sentence."),
    kind.Column(name="First Seen", cell=_first_seen, priority=1, description="When it happened first."),
    kind.Column(name="Count", cell=_count, priority=1, description="How often it happened."),
    kind.Column(name="Name", path=".metadata.name", format="name", priority=1, description="Name of the event."),
)


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
        columns=_COLUMNS,
        default=_default,
        validate=_validate,
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
