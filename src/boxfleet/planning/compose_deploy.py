"""Keys of a Compose service that say how many there are, where, after what, and how much they may use."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from boxfleet.planning import compose_draft, compose_values

_RESTART = {"always": "Always", "unless-stopped": "Always", "no": "Never", "on-failure": "OnFailure"}
_CONDITIONS = {
    "service_started": "Started",
    "service_healthy": "Ready",
    "service_completed_successfully": "Completed",
}


def _depends_on(service: compose_draft.Service, value: Any, at: str) -> None:
    if isinstance(value, list):
        service.depends |= {name: compose_draft.Need("Started", f"{at}.{name}") for name in compose_values.texts(value)}
        return
    if not isinstance(value, dict):
        raise ValueError("expected a list or a map of services")
    for name, said in value.items():
        said = said or {}
        unknown = set(said) - {"condition", "restart", "required"}
        condition = said.get("condition", "service_started")
        if unknown:
            raise ValueError(f"{name}.{sorted(unknown)[0]} is not known: use condition, restart or required")
        if condition not in _CONDITIONS:
            raise ValueError(f"{name}: condition {condition!r} is not known: use one of {', '.join(_CONDITIONS)}")
        if compose_values.flag(said.get("restart", False)):
            service.report.warn(f"{at}.{name}.restart", "has no effect (Units are not restarted with each other)")
        service.depends[str(name)] = compose_draft.Need(_CONDITIONS[condition], f"{at}.{name}")
        if not compose_values.flag(said.get("required", True)):
            service.report.optional.add((service.name, str(name)))


def _links(service: compose_draft.Service, value: Any, at: str) -> None:
    for item in compose_values.texts(value):
        name, _, alias = item.partition(":")
        if alias and alias != name:
            raise ValueError(f"{alias} would not resolve: name the service {alias}, or use {name} in its clients")
        service.depends.setdefault(name, compose_draft.Need("Started", f"{at}.{name}"))


def _restart(service: compose_draft.Service, value: Any, at: str) -> None:
    # YAML reads a bare `no` as false.
    word = "no" if value is False else str(value).partition(":")[0]
    if word not in _RESTART:
        raise ValueError(f"{value!r} is not known: use one of {', '.join(_RESTART)}")
    if ":" in str(value):
        service.report.warn(at, "retries are not counted: failures are retried with growing delay")
    service.restart = _RESTART[word]


def _deploy(service: compose_draft.Service, value: Any, at: str) -> None:
    for key, said in value.items():
        where = f"{at}.{key}"
        with service.report.catching(where):
            if said is None or key.startswith("x-"):
                continue
            if key == "replicas":
                service.unit["replicas"] = compose_values.whole(said)
            elif key == "resources":
                _resources(service, said, where)
            elif key == "restart_policy":
                words = {"none": "Never", "on-failure": "OnFailure", "any": "Always"}
                condition = said.get("condition", "any")
                if condition not in words:
                    raise ValueError(f"condition {condition!r} is not known: use none, on-failure or any")
                service.restart = words[condition]
            elif key == "mode":
                if said not in ("replicated", "replicated-job"):
                    raise ValueError(f"{said!r} is not supported: use replicated with a number of replicas")
                if said == "replicated-job":
                    service.restart = "OnFailure"
            elif key == "labels":
                _labels(service, said, where)
            elif key in ("update_config", "rollback_config", "endpoint_mode", "placement"):
                service.report.warn(where, "has no effect: Boxfleet places and updates by its own rules")
            else:
                service.report.unknown(where, key, {"replicas", "resources", "restart_policy", "mode", "labels"})


def _resources(service: compose_draft.Service, value: Any, at: str) -> None:
    target = service.container.setdefault("resources", {})
    for part, name in (("limits", "limits"), ("reservations", "requests")):
        for key, amount in (value.get(part) or {}).items():
            if key == "cpus":
                target.setdefault(name, {})["cpu"] = _cpus(amount)
            elif key == "memory":
                target.setdefault(name, {})["memory"] = str(compose_values.size(amount))
            elif key == "pids":
                service.report.warn(f"{at}.{part}.pids", "has no effect: the node's limit holds")
            else:
                raise ValueError(f"{part}.{key} is not supported: use cpus and memory")
    unknown = set(value) - {"limits", "reservations"}
    if unknown:
        raise ValueError(f"{sorted(unknown)[0]} is not known: use limits and reservations")


def _cpus(value: Any) -> str:
    try:
        milli = round(float(compose_values.scalar(value)) * 1000)
    except ValueError:
        raise ValueError(f"{value!r} is not a number of cores") from None
    return f"{milli}m"


def _limit(resource: str, part: str, read: Callable[[Any], str]) -> compose_draft.Reader:
    def reader(service: compose_draft.Service, value: Any, at: str) -> None:
        resources = service.container.setdefault("resources", {})
        resources.setdefault(part, {}).setdefault(resource, read(value))

    return reader


def _memory(value: Any) -> str:
    return str(compose_values.size(value))


def _labels(service: compose_draft.Service, value: Any, at: str) -> None:
    for name, text in compose_values.mapping(value).items():
        if re.fullmatch(r"(?:[a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", name):
            service.annotations[name] = text or ""
        else:
            service.report.warn(f"{at}.{name}", "cannot be an annotation and is left out")


def _annotations(service: compose_draft.Service, value: Any, at: str) -> None:
    _labels(service, value, at)


def _platform(service: compose_draft.Service, value: Any, at: str) -> None:
    system, _, rest = str(value).partition("/")
    if system != "linux" or not rest:
        raise ValueError(f"{value!r} is not supported: use linux/amd64 or linux/arm64")
    service.pod["nodeSelector"] = {"kubernetes.io/arch": rest.split("/")[0]}


READERS: Mapping[str, compose_draft.Reader] = {
    "annotations": _annotations,
    "cpus": _limit("cpu", "limits", _cpus),
    "depends_on": _depends_on,
    "deploy": _deploy,
    "labels": _labels,
    "links": _links,
    "mem_limit": _limit("memory", "limits", _memory),
    "mem_reservation": _limit("memory", "requests", _memory),
    "platform": _platform,
    "restart": _restart,
}
