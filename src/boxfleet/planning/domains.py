"""Domain names of Units and instances; they never change while the object lives."""

from boxfleet.api import unit, wellknown


def short_name(subject: unit.Unit) -> str:
    """The name of a Unit within its Box: ``db`` for the Unit ``wordpress-db`` of the Box ``wordpress``."""
    return subject.metadata.name.removeprefix(f"{subject.spec.box}-") if subject.spec.box else subject.metadata.name


def of_unit(subject: unit.Unit, *, suffix: str = wellknown.DOMAIN) -> str:
    """``UNIT.BOX.NAMESPACE.suffix``; without a Box ``UNIT.NAMESPACE.suffix``."""
    parts = [short_name(subject), subject.spec.box, subject.metadata.namespace, suffix]
    return ".".join(part for part in parts if part)


def of_instance(instance: str, *, unit_domain: str) -> str:
    """The instance's name in front of its Unit's."""
    return f"{instance}.{unit_domain}"


def of_pod(*, namespace: str, name: str, suffix: str = wellknown.DOMAIN) -> str:
    """The name of a Pod that belongs to no Unit."""
    return f"{name}.{namespace}.{suffix}"
