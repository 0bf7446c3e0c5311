"""The environment of a container: values, references, and ``$(NAME)`` expansion as Kubernetes defines it."""

import decimal
import re
from collections.abc import Mapping

import msgspec

from boxfleet.api import config, pod_sources
from boxfleet.api import pod as pods
from boxfleet.kit import quantity
from boxfleet.planning import pod_volumes

# "$$" is a way to write "$": $$(NAME) stays $(NAME).
_REFERENCE = re.compile(r"\$(?:\$|\(([^()$]+)\))")
_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_SHORT = {
    '"': '\\"', "\\": "\\\\", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v",
}  # fmt: skip
_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What references may name. `allocatable` stands in for limits that are not set."""

    pod: pods.Pod
    pod_ip: str = ""
    host_ip: str = ""
    config_maps: Mapping[str, config.ConfigMap] = {}
    secrets: Mapping[str, config.Secret] = {}
    allocatable: Mapping[str, str] = {}
    # Variables that every container has unless it says otherwise.
    common: Mapping[str, str] = {}


def way_to_api(host: str, port: int) -> dict[str, str]:
    """The variables by which programs in instances find the API; none without a host."""
    if not host:
        return {}
    return {
        "KUBERNETES_SERVICE_HOST": host,
        "KUBERNETES_SERVICE_PORT": str(port),
        "KUBERNETES_SERVICE_PORT_HTTPS": str(port),
    }


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Fill in ``$(NAME)``; what is not known stays as it is written."""

    def fill(match: re.Match[str]) -> str:
        name = match.group(1)
        if name is None:
            return "$"
        return variables.get(name, match.group(0))

    return _REFERENCE.sub(fill, text)


def build(container: pods.Container, facts: Facts) -> dict[str, str]:
    """All variables of a container; raises `pod_volumes.Missing` for a reference that leads nowhere."""
    result = dict(facts.common)
    for source in container.envFrom:
        for key, value in _all_of(source, facts).items():
            if _NAME.fullmatch(source.prefix + key):
                result[source.prefix + key] = value
    for variable in container.env:
        if variable.valueFrom is None:
            result[variable.name] = expand(variable.value, result)
            continue
        value_from = _value(variable.valueFrom, container, facts)
        if value_from is not None:
            result[variable.name] = value_from
    return result


def field(path: str, facts: Facts) -> str:
    """The value of a downward field; raises `pod_volumes.Missing` for one that is not offered."""
    pod = facts.pod
    match = _SUBSCRIPT.fullmatch(path)
    if match is not None:
        table = pod.metadata.labels if match.group(1) == "labels" else pod.metadata.annotations
        return table.get(match.group(2), "")
    simple = {
        "metadata.name": pod.metadata.name,
        "metadata.namespace": pod.metadata.namespace,
        "metadata.uid": pod.metadata.uid,
        "metadata.labels": _lines(pod.metadata.labels),
        "metadata.annotations": _lines(pod.metadata.annotations),
        "spec.nodeName": pod.spec.nodeName,
        "spec.serviceAccountName": pod.spec.serviceAccountName or "default",
        "status.hostIP": facts.host_ip,
        "status.hostIPs": facts.host_ip,
        "status.podIP": facts.pod_ip,
        "status.podIPs": facts.pod_ip,
    }
    if path not in simple:
        raise pod_volumes.Missing(f"fieldPath {path!r} is not supported: use one of {', '.join(sorted(simple))}")
    return simple[path]


def resource(selector: pod_sources.ResourceFieldSelector, own: pods.Container | None, facts: Facts) -> str:
    """A request or limit divided by the divisor, rounded up; without a limit the node's whole is meant."""
    spec = facts.pod.spec
    container = own
    if selector.containerName:
        container = spec.find_container(selector.containerName)
    if container is None:
        raise pod_volumes.Missing(f"resourceFieldRef names no container of the pod: {selector.containerName!r}")
    side, _, name = selector.resource.partition(".")
    if side not in ("limits", "requests") or not name:
        raise pod_volumes.Missing(
            f"resource {selector.resource!r} is not supported: write limits.cpu or requests.memory"
        )
    limits, requests = container.resources.limits, container.resources.requests
    amount: str | int | None = limits.get(name) if side == "limits" else requests.get(name, limits.get(name))
    if amount is None:
        amount = facts.allocatable.get(name, "0") if side == "limits" else "0"
    divisor = quantity.parse(selector.divisor) if selector.divisor not in ("", 0, "0") else quantity.parse(1)
    return str(int((quantity.parse(amount) / divisor).to_integral_value(rounding=decimal.ROUND_CEILING)))


def _all_of(source: pod_sources.EnvFromSource, facts: Facts) -> dict[str, str]:
    if source.configMapRef is not None:
        name, optional, what = source.configMapRef.name, source.configMapRef.optional, "configmap"
        found_map = facts.config_maps.get(name)
        data = None if found_map is None else pod_volumes.config_map_data(found_map)
    elif source.secretRef is not None:
        name, optional, what = source.secretRef.name, source.secretRef.optional, "secret"
        found_secret = facts.secrets.get(name)
        data = None if found_secret is None else pod_volumes.secret_data(found_secret)
    else:
        return {}
    if data is None:
        if optional:
            return {}
        raise pod_volumes.Missing(f'{what} "{name}" not found')
    return {key: _text(value, f"{what} {name} key {key}") for key, value in data.items()}


def _value(origin: pod_sources.EnvVarSource, container: pods.Container, facts: Facts) -> str | None:
    if origin.configMapKeyRef is not None:
        found = facts.config_maps.get(origin.configMapKeyRef.name)
        data = None if found is None else pod_volumes.config_map_data(found)
        return _key(origin.configMapKeyRef, data, "configmap")
    if origin.secretKeyRef is not None:
        secret = facts.secrets.get(origin.secretKeyRef.name)
        data = None if secret is None else pod_volumes.secret_data(secret)
        return _key(origin.secretKeyRef, data, "secret")
    if origin.fieldRef is not None:
        return field(origin.fieldRef.fieldPath, facts)
    if origin.resourceFieldRef is not None:
        return resource(origin.resourceFieldRef, container, facts)
    return ""


def _key(selector: pod_sources.KeySelector, data: Mapping[str, bytes] | None, what: str) -> str | None:
    if data is None:
        if selector.optional:
            return None
        raise pod_volumes.Missing(f'{what} "{selector.name}" not found')
    if selector.key not in data:
        if selector.optional:
            return None
        raise pod_volumes.Missing(f"couldn't find key {selector.key} in {what} {selector.name}")
    return _text(data[selector.key], f"{what} {selector.name} key {selector.key}")


def _text(value: bytes, what: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise pod_volumes.Missing(f"{what} is not text: mount it as a file instead") from None


def _lines(table: Mapping[str, str]) -> str:
    return "\n".join(f"{key}={_quoted(table[key])}" for key in sorted(table))


def _quoted(text: str) -> str:
    """As Go's strconv.Quote writes it, and so Kubernetes."""
    return '"' + "".join(_SHORT.get(one) or (one if one.isprintable() else _escaped(ord(one))) for one in text) + '"'


def _escaped(number: int) -> str:
    if number < 0x20 or number == 0x7F:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
