"""What a Pod says when it says nothing: Kubernetes' own defaults, on plain JSON."""

from typing import Any

from boxfleet.api import kind, labels, phases
from boxfleet.kit import quantity

_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
# Files from ConfigMaps, Secrets and the downward API are 0644.
_FILE_MODE = 420


def apply(pod: kind.JsonObject) -> None:
    """Fill in a Pod, in place; a new one is Pending."""
    spec = pod.setdefault("spec", {})
    apply_spec(spec)
    tolerations = spec.setdefault("tolerations", [])
    for taint in (labels.TAINT_NOT_READY, labels.TAINT_UNREACHABLE):
        if not any(_tolerates(toleration, taint) for toleration in tolerations):
            tolerations.append({"key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})
    status = pod.setdefault("status", {})
    status.setdefault("phase", "Pending")
    status.setdefault("qosClass", qos_class(spec))
    if spec.get("schedulingGates"):
        _say_gated(status)


def _say_gated(status: dict[str, Any]) -> None:
    """Why nobody looks for a node: as Kubernetes' API server says it, from the first moment on."""
    conditions = status.get("conditions") or []
    if any(one.get("type") == "PodScheduled" for one in conditions):
        return
    said = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "SchedulingGated",
        "message": "Scheduling is blocked due to non-empty scheduling gates",
    }
    status["conditions"] = [*conditions, said]


def apply_spec(spec: dict[str, Any]) -> None:
    """Fill in a Pod's spec, in place."""
    defaults: dict[str, Any] = {
        "restartPolicy": "Always",
        "dnsPolicy": "ClusterFirst",
        "terminationGracePeriodSeconds": 30,
        "schedulerName": "default-scheduler",
        "enableServiceLinks": True,
        "preemptionPolicy": "PreemptLowerPriority",
        "priority": 0,
    }
    for key, value in defaults.items():
        spec.setdefault(key, value)
    spec.setdefault("securityContext", {})
    for container in spec.get("containers") or ():
        _container(container, host_network=spec.get("hostNetwork") is True)
    for container in spec.get("initContainers") or ():
        _container(container, host_network=spec.get("hostNetwork") is True)
    for container in spec.get("ephemeralContainers") or ():
        _container(container, host_network=False)
    for volume in spec.get("volumes") or ():
        _volume(volume)
    canonical_quantities(spec.get("overhead"))


def qos_class(spec: dict[str, Any]) -> str:
    """Guaranteed, Burstable or BestEffort, by the rules of Kubernetes' resource QoS."""
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    limited = asked = False
    guaranteed = True
    for container in containers:
        resources = container.get("resources") or {}
        requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
        for name in ("cpu", "memory"):
            asked = asked or _positive(requests.get(name))
            limited = limited or _positive(limits.get(name))
            same = _positive(limits.get(name)) and requests.get(name, limits[name]) == limits[name]
            guaranteed = guaranteed and same
    if not asked and not limited:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def canonical_quantities(values: dict[str, Any] | None) -> None:
    """Write quantities in their one canonical form, in place; what is none stays for validation to refuse."""
    for key, value in (values or {}).items():
        values[key] = canonical(value)  # type: ignore[index]


def canonical(value: Any) -> Any:
    """The canonical form of a quantity, or the value itself when it is none."""
    try:
        return quantity.canonical(value)
    except ValueError:
        return value


def grace(pod: kind.JsonObject) -> int:
    """Seconds that a Pod's deletion waits for its agent; none when no node has it or it has ended already."""
    if not pod.get("spec", {}).get("nodeName") or pod.get("status", {}).get("phase") in phases.TERMINAL:
        return 0
    seconds = pod["spec"].get("terminationGracePeriodSeconds")
    return 30 if seconds is None else int(seconds)


def _positive(value: Any) -> bool:
    return value is not None and value not in ("0", 0)


def _tolerates(toleration: dict[str, Any], taint: str) -> bool:
    same_key = toleration.get("key", "") in ("", taint)
    return same_key and toleration.get("effect", "") in ("", "NoExecute")


def _container(container: dict[str, Any], *, host_network: bool) -> None:
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    if not container.get("imagePullPolicy"):
        container["imagePullPolicy"] = _pull_policy(container.get("image") or "")
    for port in container.get("ports") or ():
        port.setdefault("protocol", "TCP")
        if host_network:
            port.setdefault("hostPort", port.get("containerPort"))
    for variable in container.get("env") or ():
        source = variable.get("valueFrom") or {}
        _field_ref(source)
    for name in _PROBES:
        if probe := container.get(name):
            _probe(probe)
    for hook in (container.get("lifecycle") or {}).values():
        _http_get(hook)
    resources = container.setdefault("resources", {})
    canonical_quantities(resources.get("limits"))
    canonical_quantities(resources.get("requests"))
    if limits := resources.get("limits"):
        resources["requests"] = limits | (resources.get("requests") or {})


def _pull_policy(image: str) -> str:
    """Always for what may move: the tag latest, or none."""
    last = image.rpartition("/")[2]
    if "@" in last:
        return "IfNotPresent"
    return "Always" if last.partition(":")[2] in ("", "latest") else "IfNotPresent"


def _field_ref(source: dict[str, Any]) -> None:
    if ref := source.get("fieldRef"):
        ref.setdefault("apiVersion", "v1")
    if ref := source.get("resourceFieldRef"):
        ref["divisor"] = canonical(ref.get("divisor", "0"))


def _probe(probe: dict[str, Any]) -> None:
    _http_get(probe)
    for key, value in {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}.items():
        # Zero is as good as nothing, as in Kubernetes.
        probe[key] = probe.get(key) or value


def _http_get(handler: dict[str, Any]) -> None:
    if isinstance(handler, dict) and (get := handler.get("httpGet")):
        get["path"] = get.get("path") or "/"
        get["scheme"] = get.get("scheme") or "HTTP"


def _volume(volume: dict[str, Any]) -> None:
    if not any(key != "name" for key in volume):
        volume["emptyDir"] = {}
    for name in ("configMap", "secret", "downwardAPI", "projected"):
        if (source := volume.get(name)) is not None:
            source.setdefault("defaultMode", _FILE_MODE)
    if (host_path := volume.get("hostPath")) is not None:
        host_path.setdefault("type", "")
    empty = volume.get("emptyDir")
    if empty and "sizeLimit" in empty:
        empty["sizeLimit"] = canonical(empty["sizeLimit"])
    for item in (volume.get("downwardAPI") or {}).get("items") or ():
        _field_ref(item)
    for part in (volume.get("projected") or {}).get("sources") or ():
        for item in (part.get("downwardAPI") or {}).get("items") or ():
            _field_ref(item)
        if token := part.get("serviceAccountToken"):
            token.setdefault("expirationSeconds", 3600)
