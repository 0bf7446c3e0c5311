"""Compose files as Boxes: a parsed file in, manifests and warnings out.

By the Compose Specification. A service becomes a Unit of one Box, and keeps its name for the others. What cannot be
kept is refused with the remedy; what is harmless to lose is warned about. Decisions:

- A port of the host is taken only where the file writes one (``8080:80``); ``80`` alone is a port of the instance.
- A named volume becomes one claim per instance. Two services cannot share one.
- Without ``restart`` a service is kept running, except where another waits for it to complete.
- ``depends_on`` waits as Compose does; a health check becomes a startup and a readiness probe, never a liveness
  probe, since Compose restarts nothing that is unhealthy.
"""

import base64
import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from boxfleet.api import box_rules, kind
from boxfleet.planning import compose_draft, compose_mounts, compose_report, compose_service, compose_values

_BOX = f"{kind.GROUP}/{kind.VERSION}"
# Claims must ask for something; local storage does not hold anyone to it.
_CLAIM_SIZE = "1Gi"
_TOP = {"version", "name", "services", "volumes", "networks", "configs", "secrets", "include"}


class InvalidComposeError(ValueError):
    """A Compose file cannot be imported; `errors` has every field that is in the way and what to do about it."""

    def __init__(self, errors: list[kind.FieldError]) -> None:
        super().__init__("\n".join(f"{error.field}: {error.message}" for error in errors))
        self.errors = errors


@dataclasses.dataclass(frozen=True, slots=True)
class Imported:
    """What a Compose file becomes: manifests in the order to apply them, the Box last, and what was left out."""

    manifests: list[kind.JsonObject]
    warnings: list[str]


def is_compose(document: object) -> bool:
    """Whether a parsed YAML document is a Compose file and not a manifest."""
    return isinstance(document, dict) and "services" in document and "apiVersion" not in document


def wanted_files(document: Mapping[str, Any], *, environment: Mapping[str, str]) -> list[str]:
    """Paths, as the file writes them, whose contents `convert` needs: env files, configs and secrets."""
    paths: list[object] = []
    try:
        filled = compose_values.interpolate(dict(document), environment, missing=lambda name: None)
    except ValueError:
        # `convert` says so with the field.
        return []
    for service in _maps(filled.get("services")).values():
        said = service.get("env_file")
        for item in said if isinstance(said, list) else [said]:
            paths.append(item.get("path", "") if isinstance(item, dict) else item)
    for section in ("configs", "secrets"):
        paths.extend(said.get("file") for said in _maps(filled.get(section)).values())
    return list(dict.fromkeys(path for path in paths if isinstance(path, str) and path))


def convert(
    document: Mapping[str, Any],
    *,
    project: str,
    directory: str = "",
    environment: Mapping[str, str],
    files: Mapping[str, str] | None = None,
    profiles: Collection[str] = (),
) -> Imported:
    """A Compose file as a Box; raises InvalidComposeError.

    `project` names the Box where the file has no name; usually its folder's name. `directory` is the absolute path
    of that folder, `environment` fills variables, `files` has the contents of `wanted_files` by path (a path
    that is not there could not be read).
    """
    report = compose_report.Report()
    said = _interpolate(document, environment, report)
    _check_top(said, report)
    chosen = _choose(said, profiles, report)
    names = _unit_names(chosen, report)
    services = {
        name: _service(name, body, directory=directory, environment=environment, files=files or {}, report=report)
        for name, body in chosen.items()
    }
    for service in services.values():
        _relate(service, services, names, report)
    _refuse_cycles(services, report)
    box_name = _box_name(said.get("name") or project, report)
    manifests = _sources(said, services, box_name, files or {}, environment, report)
    volumes = _volumes(said, services, report)
    if report.errors:
        raise InvalidComposeError(report.errors)
    units = {names[name]: _unit(service, volumes) for name, service in services.items()}
    box = {"apiVersion": _BOX, "kind": "Box", "metadata": {"name": box_name}, "spec": {"units": units}}
    return Imported([*manifests, box], report.warnings)


def _interpolate(
    document: Mapping[str, Any], environment: Mapping[str, str], report: compose_report.Report
) -> dict[str, Any]:
    unset: set[str] = set()
    filled: dict[str, Any] = {}
    for section, value in document.items():
        if isinstance(value, dict) and section in ("services", "volumes", "networks", "configs", "secrets"):
            filled[section] = {}
            for name, body in value.items():
                with report.catching(f"{section}.{name}"):
                    filled[section][name] = compose_values.interpolate(body, environment, missing=unset.add)
        else:
            with report.catching(str(section)):
                filled[section] = compose_values.interpolate(value, environment, missing=unset.add)
    for name in sorted(unset):
        report.warn(name, "the variable is not set in your environment and taken as empty")
    return filled


def _check_top(said: dict[str, Any], report: compose_report.Report) -> None:
    for key in said:
        if not isinstance(key, str) or (key not in _TOP and not key.startswith("x-")):
            report.unknown(str(key), str(key), _TOP)
    if "include" in said:
        report.refuse("include", "is not supported: deliver the files one by one, or write their services here")
    for name, body in _maps(said.get("networks")).items():
        if body.get("external"):
            report.warn(f"networks.{name}", "has no effect: all Units share one network")
    if not isinstance(said.get("services"), dict) or not said["services"]:
        report.refuse("services", "is missing: a Compose file names at least one service", reason=kind.Reason.REQUIRED)


def _choose(
    said: dict[str, Any], profiles: Collection[str], report: compose_report.Report
) -> dict[str, dict[str, Any]]:
    """The services to deliver: all but those of profiles that nobody asked for."""
    chosen = {}
    services = said.get("services")
    for name, body in (services if isinstance(services, dict) else {}).items():
        if not isinstance(body, dict):
            report.refuse(f"services.{name}", "expected a map of settings", reason=kind.Reason.TYPE)
            continue
        own = body.get("profiles") or []
        if not isinstance(own, list) or not all(isinstance(each, str) for each in own):
            report.refuse(f"services.{name}.profiles", "expected a list of names", reason=kind.Reason.TYPE)
            continue
        if own and "*" not in profiles and not set(own) & set(profiles):
            report.warn(f"services.{name}", f"left out: it belongs to profile {', '.join(map(str, own))}")
            continue
        chosen[str(name)] = body
    return chosen


def _unit_names(chosen: Collection[str], report: compose_report.Report) -> dict[str, str]:
    names: dict[str, str] = {}
    for name in chosen:
        unit = compose_report.label(name)
        if not unit:
            report.refuse(f"services.{name}", "the name has no letter or digit: rename the service")
        elif unit in names.values():
            report.refuse(f"services.{name}", f"would be named {unit} like another service: rename one of them")
        elif unit != name:
            report.warn(f"services.{name}", f"is named {unit}, and only that name resolves: use it in the others")
        names[name] = unit
    return names


def _box_name(wanted: Any, report: compose_report.Report) -> str:
    name = compose_report.label(str(wanted))
    if not name:
        report.refuse("name", f"{wanted!r} has no letter or digit: name the project", reason=kind.Reason.REQUIRED)
    return name


def _service(
    name: str,
    body: dict[str, Any],
    *,
    directory: str,
    environment: Mapping[str, str],
    files: Mapping[str, str],
    report: compose_report.Report,
) -> compose_draft.Service:
    service = compose_draft.Service(
        name=name,
        at=f"services.{name}",
        report=report,
        directory=directory,
        environment=environment,
        files=files,
        container={"name": compose_report.label(name) or "main"},
    )
    compose_service.convert(service, body)
    return service


def _relate(
    service: compose_draft.Service,
    services: Mapping[str, compose_draft.Service],
    names: Mapping[str, str],
    report: compose_report.Report,
) -> None:
    """Turn the services that one depends on into Units."""
    wanted = []
    for other, need in service.depends.items():
        if other not in services:
            if (service.name, other) not in report.optional:
                report.refuse(need.at, "there is no such service among those delivered", reason=kind.Reason.NOT_FOUND)
            continue
        if need.condition == "Ready" and "readinessProbe" not in services[other].container:
            message = f"service_healthy needs a health check: give {other} one, or wait for service_started"
            report.refuse(need.at, message)
        if need.condition == "Completed":
            services[other].restart = services[other].restart or "OnFailure"
            if services[other].restart == "Always":
                report.refuse(need.at, f"{other} never completes with restart: always: give it restart: on-failure")
        wanted.append({"unit": names[other], "condition": need.condition})
    if wanted:
        service.unit["dependsOn"] = wanted


def _refuse_cycles(services: Mapping[str, compose_draft.Service], report: compose_report.Report) -> None:
    needs = {name: list(service.depends) for name, service in services.items()}
    own = next(([name, name] for name, others in needs.items() if name in others), [])
    if cycle := own or box_rules.find_cycle(needs):
        at = services[cycle[0]].depends[cycle[1]].at
        report.refuse(at, f"the services wait for each other: {' -> '.join(cycle)}: remove one")


def _volumes(
    said: dict[str, Any], services: Mapping[str, compose_draft.Service], report: compose_report.Report
) -> dict[str, dict[str, Any]]:
    """Claim templates by named volume; refuses what cannot be one claim per instance."""
    declared = said.get("volumes")
    declared = declared if isinstance(declared, dict) else {}
    users: dict[str, str] = {}
    for service in services.values():
        for name, at in service.mounts.named.items():
            if name not in declared:
                report.refuse(at, f"volume {name} is not declared: add it below `volumes` at the top")
            elif name in users:
                report.refuse(
                    at,
                    f"volume {name} is used by {users[name]} and {service.name}, and every instance has its own: "
                    "give each service a volume, or put both programs into one service",
                )
            else:
                users[name] = service.name
                if service.unit.get("replicas", 1) > 1:
                    report.warn(at, f"each instance of {service.name} has a volume {name} of its own")
    claims = {}
    for name, body in _maps(declared).items():
        at = f"volumes.{name}"
        if body.get("external"):
            report.refuse(f"{at}.external", "is not supported: let Boxfleet make the volume, and copy the data in")
        if body.get("driver") not in (None, "local"):
            report.refuse(f"{at}.driver", f"{body['driver']!r} is not supported: leave it out")
        if body.get("driver_opts"):
            report.warn(f"{at}.driver_opts", "has no effect: the node's own storage is used")
        claims[name] = {
            "metadata": {"name": compose_report.label(name)},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": _CLAIM_SIZE}},
            },
        }
    return claims


def _sources(
    said: dict[str, Any],
    services: Mapping[str, compose_draft.Service],
    box_name: str,
    files: Mapping[str, str],
    environment: Mapping[str, str],
    report: compose_report.Report,
) -> list[kind.JsonObject]:
    """ConfigMaps and Secrets for the configs and secrets in use, mounted where their services want them."""
    manifests: dict[str, kind.JsonObject] = {}
    for section in ("configs", "secrets"):
        declared = said.get(section)
        declared = _maps(declared if isinstance(declared, dict) else {})
        for service in services.values():
            for source in service.mounts.secrets if section == "secrets" else service.mounts.configs:
                if source.name not in declared:
                    report.refuse(source.at, f"{source.name} is not declared: add it below `{section}` at the top")
                    continue
                name = compose_report.label(f"{box_name}-{source.name}")
                at = f"{section}.{source.name}"
                with report.catching(at):
                    content = _content(declared[source.name], files, environment)
                    manifests[f"{section}/{name}"] = _source_manifest(section, name, content)
                _mount_source(service, source, secret=section == "secrets", name=name)
    return list(manifests.values())


def _content(body: dict[str, Any], files: Mapping[str, str], environment: Mapping[str, str]) -> str:
    if body.get("external"):
        raise ValueError("external is not supported: name its file, or write its content here")
    if isinstance(body.get("content"), str):
        return str(body["content"])
    if body.get("environment"):
        if body["environment"] not in environment:
            raise ValueError(f"variable {body['environment']} is not set in your environment")
        return environment[body["environment"]]
    if not body.get("file"):
        raise ValueError("has nothing in it: set file, content or environment")
    if body["file"] not in files:
        raise ValueError(f"{body['file']} cannot be read: put it beside the Compose file")
    return files[body["file"]]


def _source_manifest(section: str, name: str, content: str) -> kind.JsonObject:
    if section == "configs":
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"content": content}}
    data = base64.b64encode(content.encode()).decode()
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "type": "Opaque",
        "data": {"content": data},
    }


def _mount_source(service: compose_draft.Service, source: compose_mounts.Source, *, secret: bool, name: str) -> None:
    mounts = service.mounts
    volume = f"source-{len(mounts.volumes)}"
    item: dict[str, Any] = {"key": "content", "path": "content"}
    if source.mode is not None:
        item["mode"] = source.mode
    mounts.volumes[volume] = (
        {"secret": {"secretName": name, "items": [item]}} if secret else {"configMap": {"name": name, "items": [item]}}
    )
    mounts.mounts.append({"name": volume, "mountPath": source.target, "subPath": "content", "readOnly": True})


def _unit(service: compose_draft.Service, claims: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    container = service.container
    if service.mounts.mounts:
        container["volumeMounts"] = service.mounts.mounts
    spec = service.pod | {"containers": [container]}
    if service.mounts.volumes:
        spec["volumes"] = [{"name": name} | source for name, source in service.mounts.volumes.items()]
    if service.restart not in ("", "Always"):
        spec["restartPolicy"] = service.restart
    template: dict[str, Any] = {"spec": spec}
    if service.annotations:
        template["metadata"] = {"annotations": service.annotations}
    unit = service.unit | {"template": template}
    if service.mounts.named:
        unit["volumeClaimTemplates"] = [claims[name] for name in service.mounts.named]
    return unit


def _maps(section: object) -> dict[str, dict[str, Any]]:
    """A section's entries that are maps; an empty entry is an empty map."""
    if not isinstance(section, dict):
        return {}
    return {str(name): body or {} for name, body in section.items() if body is None or isinstance(body, dict)}
