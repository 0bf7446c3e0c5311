"""Service: served so that clients which ask for Services get an answer, and never stored."""

from typing import ClassVar

from boxfleet.api import cells, fields, kind, meta


def _validate(new: kind.JsonObject, old: kind.JsonObject | None) -> list[kind.FieldError]:
    """One that is stored and does nothing would mislead whoever made it."""
    remedy = "Boxfleet has no Services: every Unit has a domain name, which resolves to its ready instances"
    return [fields.forbidden("spec", remedy)]


class Service(meta.Object, kw_only=True):
    """A name and an address for several Pods. A Unit takes its place."""

    KIND: ClassVar[kind.Kind] = kind.Kind(
        group="",
        version="v1",
        kind="Service",
        plural="services",
        singular="service",
        short_names=("svc",),
        namespaced=True,
        model="core_v1.Service",
        name_limit=63,
        columns=(kind.Column(name="Type", path=".spec.type", description="How it is reached."), cells.AGE),
        validate=_validate,
        strategic=True,
    )
