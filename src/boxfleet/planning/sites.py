"""Where people reach a Box: URLs from the ports that its instances name."""

from collections.abc import Iterable, Iterator

from boxfleet.api import box, meta, pod, unit
from boxfleet.planning import domains, instances

_PORTS = {"http": 80, "https": 443}


def of_box(subject: box.Box, units: Iterable[unit.Unit], pods: Iterable[pod.Pod]) -> list[str]:
    """URLs of a Box's ready instances that name a port http or https: those of a Unit `web`, else one per Unit."""
    mine = [
        each
        for each in units
        if each.spec.box == subject.metadata.name and each.metadata.namespace == subject.metadata.namespace
    ]
    found = {}
    for each in sorted(mine, key=lambda one: one.key):
        of_unit = next(iter(_of_unit(each, pods)), "")
        if of_unit:
            found[domains.short_name(each)] = of_unit
    return [found["web"]] if "web" in found else list(found.values())


def _of_unit(subject: unit.Unit, pods: Iterable[pod.Pod]) -> Iterator[str]:
    for each in sorted(pods, key=lambda one: (len(one.metadata.name), one.metadata.name)):
        if (
            instances.unit_key(each) == subject.key
            and each.status.podIP
            and meta.is_true(each.status.conditions, "Ready")
        ):
            for port in (port for container in each.spec.containers for port in container.ports):
                if port.name in _PORTS:
                    suffix = "" if port.containerPort == _PORTS[port.name] else f":{port.containerPort}"
                    yield f"{port.name}://{each.status.podIP}{suffix}/"
