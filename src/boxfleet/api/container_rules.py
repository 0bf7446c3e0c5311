"""Rules for the containers of a Pod, with Kubernetes' field paths."""

import ipaddress
import posixpath
import re
from collections.abc import Collection
from typing import Any

from boxfleet.api import fields, kind, names
from boxfleet.kit import quantity

_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_PROTOCOLS = ("TCP", "UDP", "SCTP")
_TERMINATION = ("File", "FallbackToLogsOnError")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_FIELD_REFS = (
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
    "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
)  # fmt: skip
_FIELD_TABLES = ("metadata.labels", "metadata.annotations")
_FIELD_KEY = re.compile(r"metadata\.(?:labels|annotations)\['[^']+'\]")
_RESOURCE_REF = re.compile(r"(?:limits|requests)\.(?:cpu|memory|ephemeral-storage|hugepages-\w+)")
_MAX_ID = 2**31 - 1
# What an ephemeral container may not have.
_LASTING_ONLY = (*_PROBES, "lifecycle", "ports", "resources", "resizePolicy", "restartPolicy")
_NOT_EPHEMERAL = "cannot be set for an Ephemeral Container"
_UNSET: tuple[Any, ...] = (None, "", [], {})

Errors = list[kind.FieldError]
Json = dict[str, Any]


def containers(spec: Json, path: str, *, volumes: Collection[str]) -> Errors:
    """All containers of a Pod; `volumes` are the names that mounts may use."""
    errors: Errors = []
    if not spec.get("containers"):
        errors.append(fields.required(f"{path}.containers", "a Pod has at least one container"))
    seen: set[str] = set()
    host_ports: set[tuple[str, str, int]] = set()
    for key in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(key) or ()):
            at = f"{path}.{key}[{index}]"
            name = container.get("name", "")
            if name in seen:
                errors.append(fields.duplicate(f"{at}.name", name))
            seen.add(name)
            errors += _container(container, at, volumes)
            errors += _host_ports(container, at, host_ports, host_network=spec.get("hostNetwork") is True)
            errors += _init_rules(container, at) if key == "initContainers" else _main_rules(container, at)
    return errors + _ephemeral(spec, f"{path}.ephemeralContainers", seen, volumes)


def _ephemeral(spec: Json, path: str, seen: set[str], volumes: Collection[str]) -> Errors:
    """Containers that join for a look: the sandbox and what was promised of the Pod are settled before they come."""
    errors: Errors = []
    lasting = frozenset(seen)
    for index, container in enumerate(spec.get("ephemeralContainers") or ()):
        at = f"{path}[{index}]"
        name, target = container.get("name", ""), container.get("targetContainerName")
        if name in seen:
            errors.append(fields.duplicate(f"{at}.name", name))
        seen.add(name)
        errors += _container(container, at, volumes)
        errors += [
            fields.forbidden(f"{at}.{key}", _NOT_EPHEMERAL) for key in _LASTING_ONLY if container.get(key) not in _UNSET
        ]
        errors += [
            fields.forbidden(f"{at}.volumeMounts[{place}].{key}", _NOT_EPHEMERAL)
            for place, mount in enumerate(container.get("volumeMounts") or ())
            for key in ("subPath", "subPathExpr")
            if mount.get(key)
        ]
        if target and target not in lasting:
            errors.append(
                fields.not_found(
                    f"{at}.targetContainerName", target, f"the containers are: {', '.join(sorted(lasting))}"
                )
            )
    return errors


def _container(container: Json, at: str, volumes: Collection[str]) -> Errors:
    errors: Errors = []
    name = container.get("name", "")
    if not name:
        errors.append(fields.required(f"{at}.name"))
    elif fault := names.label(name):
        errors.append(fields.invalid(f"{at}.name", name, fault))
    image = container.get("image", "")
    if not image:
        errors.append(fields.required(f"{at}.image", "name the image to run, for example docker.io/library/nginx:1.27"))
    elif image != image.strip() or any(letter.isspace() for letter in image):
        errors.append(fields.invalid(f"{at}.image", image, "must not contain spaces"))
    errors += fields.one_of(f"{at}.imagePullPolicy", container.get("imagePullPolicy"), _PULL_POLICIES)
    errors += fields.one_of(f"{at}.terminationMessagePolicy", container.get("terminationMessagePolicy"), _TERMINATION)
    errors += _ports(container.get("ports") or (), f"{at}.ports")
    errors += _env(container.get("env") or (), f"{at}.env")
    errors += _env_from(container.get("envFrom") or (), f"{at}.envFrom")
    errors += resources(container.get("resources") or {}, f"{at}.resources")
    errors += _mounts(container.get("volumeMounts") or (), f"{at}.volumeMounts", volumes)
    for key in _PROBES:
        if (probe := container.get(key)) is not None:
            errors += _probe(probe, f"{at}.{key}", once=key != "readinessProbe")
    for key, hook in (container.get("lifecycle") or {}).items():
        if isinstance(hook, dict):
            errors += _handler(hook, f"{at}.lifecycle.{key}", ("exec", "httpGet", "tcpSocket", "sleep"))
    errors += security(container.get("securityContext") or {}, f"{at}.securityContext")
    return errors


def _init_rules(container: Json, at: str) -> Errors:
    errors = fields.one_of(f"{at}.restartPolicy", container.get("restartPolicy"), ("Always",))
    if container.get("restartPolicy") == "Always":
        return errors
    return errors + [
        fields.forbidden(
            f"{at}.{key}", "an init container runs to its end: only one with restartPolicy Always (a sidecar) has this"
        )
        for key in (*_PROBES, "lifecycle")
        if container.get(key) is not None
    ]


def _main_rules(container: Json, at: str) -> Errors:
    if container.get("restartPolicy"):
        return [
            fields.forbidden(f"{at}.restartPolicy", "only init containers have one; set spec.restartPolicy instead")
        ]
    return []


def _ports(ports: Collection[Json], path: str) -> Errors:
    errors: Errors = []
    seen: set[str] = set()
    for index, port in enumerate(ports):
        at = f"{path}[{index}]"
        if name := port.get("name"):
            if fault := names.port(name):
                errors.append(fields.invalid(f"{at}.name", name, fault))
            elif name in seen:
                errors.append(fields.duplicate(f"{at}.name", name))
            seen.add(name)
        if not port.get("containerPort"):
            errors.append(fields.required(f"{at}.containerPort"))
        else:
            errors += fields.between(f"{at}.containerPort", port["containerPort"], 1, 65535)
        if port.get("hostPort"):
            errors += fields.between(f"{at}.hostPort", port["hostPort"], 1, 65535)
        errors += fields.one_of(f"{at}.protocol", port.get("protocol"), _PROTOCOLS)
        if host_ip := port.get("hostIP"):
            errors += ip(f"{at}.hostIP", host_ip)
    return errors


def _host_ports(container: Json, at: str, seen: set[tuple[str, str, int]], *, host_network: bool) -> Errors:
    errors: Errors = []
    for index, port in enumerate(container.get("ports") or ()):
        number = port.get("hostPort")
        if host_network and number != port.get("containerPort"):
            errors.append(
                fields.invalid(
                    f"{at}.ports[{index}].containerPort",
                    port.get("containerPort"),
                    "must equal hostPort when hostNetwork is true; leave hostPort out",
                )
            )
        if number:
            key = (port.get("protocol", "TCP"), port.get("hostIP", ""), number)
            if key in seen:
                errors.append(fields.duplicate(f"{at}.ports[{index}].hostPort", number))
            seen.add(key)
    return errors


def _env(env: Collection[Json], path: str) -> Errors:
    errors: Errors = []
    for index, variable in enumerate(env):
        at = f"{path}[{index}]"
        name = variable.get("name", "")
        if not name:
            errors.append(fields.required(f"{at}.name"))
        elif fault := names.variable(name):
            errors.append(fields.invalid(f"{at}.name", name, fault))
        source = variable.get("valueFrom")
        if source is None:
            continue
        if variable.get("value"):
            errors.append(
                fields.invalid_hidden(f"{at}.valueFrom", "may not be set together with value: remove one of them")
            )
        errors += _only_one(source, f"{at}.valueFrom", tuple(source))
        for key in ("configMapKeyRef", "secretKeyRef"):
            if (ref := source.get(key)) is not None:
                errors += _key_ref(ref, f"{at}.valueFrom.{key}")
        if (ref := source.get("fieldRef")) is not None:
            errors += field_ref(ref, f"{at}.valueFrom.fieldRef", whole_tables=False)
        if (ref := source.get("resourceFieldRef")) is not None:
            errors += _resource_ref(ref, f"{at}.valueFrom.resourceFieldRef")
    return errors


def _key_ref(ref: Json, at: str) -> Errors:
    errors: Errors = []
    if not ref.get("name"):
        errors.append(fields.required(f"{at}.name"))
    if not ref.get("key"):
        errors.append(fields.required(f"{at}.key"))
    elif fault := names.config_key(ref["key"]):
        errors.append(fields.invalid(f"{at}.key", ref["key"], fault))
    return errors


def field_ref(ref: Json, at: str, *, whole_tables: bool) -> Errors:
    """A field of the Pod, by its path; files may have all labels or annotations, variables only single ones."""
    path = ref.get("fieldPath", "")
    if not path:
        return [fields.required(f"{at}.fieldPath")]
    known = (*_FIELD_REFS, *_FIELD_TABLES) if whole_tables else _FIELD_REFS
    if path in known or _FIELD_KEY.fullmatch(path):
        return []
    supported = (*known, "metadata.labels['KEY']", "metadata.annotations['KEY']")
    return [fields.not_supported(f"{at}.fieldPath", path, supported)]


def _resource_ref(ref: Json, at: str) -> Errors:
    name = ref.get("resource", "")
    if _RESOURCE_REF.fullmatch(name):
        return []
    return [
        fields.not_supported(f"{at}.resource", name, ("limits.cpu", "limits.memory", "requests.cpu", "requests.memory"))
    ]


def _env_from(sources: Collection[Json], path: str) -> Errors:
    errors: Errors = []
    for index, source in enumerate(sources):
        at = f"{path}[{index}]"
        if (prefix := source.get("prefix")) and (fault := names.variable(prefix)):
            errors.append(fields.invalid(f"{at}.prefix", prefix, fault))
        kinds = tuple(key for key in source if key != "prefix")
        errors += _only_one(source, at, kinds)
        errors += [fields.required(f"{at}.{key}.name") for key in kinds if not source[key].get("name")]
    return errors


def _is_extended(name: str) -> bool:
    """Whether a resource is none of Kubernetes' own: bandwidth, accelerators."""
    return "/" in name and "kubernetes.io/" not in name


def resources(found: Json, path: str) -> Errors:
    """Requests and limits: no negative amount, no request above its limit, and no part of what is counted in pieces."""
    errors: Errors = []
    amounts: dict[str, dict[str, Any]] = {}
    for key in ("limits", "requests"):
        amounts[key] = {name: quantity.parse(value) for name, value in (found.get(key) or {}).items()}
        for name, amount in amounts[key].items():
            at = f"{path}.{key}[{name}]"
            if fault := names.label_key(name):
                errors.append(fields.invalid(f"{path}.{key}", name, fault))
            if amount < 0:
                errors.append(fields.invalid(at, found[key][name], "must be greater than or equal to 0"))
            if name == "cpu" and amount > 0 and amount * 1000 < 1:
                errors.append(fields.invalid(at, found[key][name], "must be at least 1m, a thousandth of a CPU"))
            if _is_extended(name) and amount != int(amount):
                errors.append(fields.invalid(at, found[key][name], "must be an integer"))
    for name, amount in amounts["requests"].items():
        limit = amounts["limits"].get(name)
        # Of devices and the like nobody can have more than was set aside for him (core/v1, extended resources).
        if limit is None and _is_extended(name):
            errors.append(fields.required(f"{path}.limits", "Limit must be set for non overcommitable resources"))
        elif limit is not None and amount != limit and _is_extended(name):
            message = f"must be equal to {name} limit of {found['limits'][name]}"
            errors.append(fields.invalid(f"{path}.requests", found["requests"][name], message))
        elif limit is not None and amount > limit:
            message = f"must be less than or equal to {name} limit of {found['limits'][name]}"
            errors.append(fields.invalid(f"{path}.requests", found["requests"][name], message))
    return errors


def _mounts(mounts: Collection[Json], path: str, volumes: Collection[str]) -> Errors:
    errors: Errors = []
    seen: set[str] = set()
    for index, mount in enumerate(mounts):
        at = f"{path}[{index}]"
        name, where = mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            errors.append(fields.required(f"{at}.name"))
        elif name not in volumes:
            known = f"the volumes are: {', '.join(sorted(volumes))}" if volumes else "there are no volumes"
            errors.append(fields.not_found(f"{at}.name", name, known))
        if not where:
            errors.append(fields.required(f"{at}.mountPath"))
        elif ":" in where:
            errors.append(fields.invalid(f"{at}.mountPath", where, "must not contain ':'"))
        elif posixpath.normpath(where) in seen:
            errors.append(fields.invalid(f"{at}.mountPath", where, "must be unique in the container"))
        seen.add(posixpath.normpath(where))
        for key in ("subPath", "subPathExpr"):
            if sub := mount.get(key):
                errors += relative(f"{at}.{key}", sub)
    return errors


def relative(field: str, path: str) -> Errors:
    """A path below a volume must stay there."""
    if path.startswith("/"):
        return [fields.invalid(field, path, "must be a relative path")]
    if ".." in path.split("/"):
        return [fields.invalid(field, path, "must not contain '..'")]
    return []


def _probe(probe: Json, at: str, *, once: bool) -> Errors:
    errors = _handler(probe, at, ("exec", "httpGet", "tcpSocket", "grpc"))
    for key, low in {
        "initialDelaySeconds": 0, "timeoutSeconds": 1, "periodSeconds": 1, "successThreshold": 1,
        "failureThreshold": 1, "terminationGracePeriodSeconds": 1,
    }.items():  # fmt: skip
        errors += fields.between(f"{at}.{key}", probe.get(key), low)
    if once and probe.get("successThreshold", 1) != 1:
        errors.append(fields.invalid(f"{at}.successThreshold", probe["successThreshold"], "must be 1"))
    return errors


def _handler(handler: Json, at: str, known: tuple[str, ...]) -> Errors:
    present = tuple(key for key in known if handler.get(key) is not None)
    errors = _only_one(handler, at, present, known)
    if "exec" in present and not handler["exec"].get("command"):
        errors.append(fields.required(f"{at}.exec.command"))
    for key in ("httpGet", "tcpSocket", "grpc"):
        if key in present:
            errors += _port_ref(handler[key].get("port"), f"{at}.{key}.port")
    if "httpGet" in present:
        errors += fields.one_of(f"{at}.httpGet.scheme", handler["httpGet"].get("scheme"), ("HTTP", "HTTPS"))
    if "sleep" in present:
        errors += fields.between(f"{at}.sleep.seconds", handler["sleep"].get("seconds"), 0)
    return errors


def _port_ref(port: Any, at: str) -> Errors:
    if isinstance(port, int):
        return fields.between(at, port, 1, 65535)
    if fault := names.port(port or ""):
        return [fields.invalid(at, port, f"a port's name {fault}")]
    return []


def _only_one(owner: Json, at: str, present: tuple[str, ...], known: tuple[str, ...] = ()) -> Errors:
    if not present:
        choice = f"one of {', '.join(known)}" if known else "one source"
        return [fields.required(at, f"must have {choice}")]
    return [fields.forbidden(f"{at}.{key}", f"may not be set together with {present[0]}") for key in present[1:]]


def security(context: Json, at: str) -> Errors:
    """Users and groups are 32-bit numbers; what contradicts itself is refused."""
    errors: Errors = []
    for key in ("runAsUser", "runAsGroup", "fsGroup"):
        errors += fields.between(f"{at}.{key}", context.get(key), 0, _MAX_ID)
    if context.get("privileged") and context.get("allowPrivilegeEscalation") is False:
        errors.append(
            fields.invalid(
                f"{at}.allowPrivilegeEscalation",
                context["allowPrivilegeEscalation"],
                "must be true or left out when privileged is true",
            )
        )
    return errors


def ip(field: str, value: str) -> Errors:
    """An address, IPv4 or IPv6; without a zone, which could hold anything."""
    try:
        if "%" in value:
            raise ValueError
        ipaddress.ip_address(value)
    except ValueError:
        return [fields.invalid(field, value, "must be an IP address, for example 10.88.0.7")]
    return []
