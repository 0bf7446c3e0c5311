"""One Compose service as a Unit: every key is converted, warned about, or refused with the remedy."""

import dataclasses
import math
import posixpath
import re
from collections.abc import Callable, Mapping
from typing import Any

from boxfleet.api import kind
from boxfleet.planning import compose_mounts, compose_report, compose_values

# Without a meaning here and harmless to leave out.
_IGNORED = {
    "attach": "",
    "container_name": "instances are named BOX-UNIT-ORDINAL",
    "cpu_shares": "set cpus or deploy.resources",
    "develop": "",
    "domainname": "Boxfleet gives every instance its domain name",
    "expose": "",
    "logging": "logs are kept by the agent and read with `kubectl logs`",
    "mac_address": "the network gives every instance one",
    "memswap_limit": "instances get no swap",
    "mem_swappiness": "instances get no swap",
    "oom_kill_disable": "memory limits hold for every instance",
    "oom_score_adj": "it follows from the resources that are asked for",
    "stop_signal": "the signal that the image names is sent",
    "ulimits": "the limits of the container runtime hold",
}
# Would change what the service is, so it is not left out silently.
_REFUSED = {
    "blkio_config": "there are no per-service disk weights: remove it",
    "build": "build the image first, by `boxfleet image build` from a recipe or elsewhere, and name it in `image`",
    "cgroup": "remove it",
    "cgroup_parent": "remove it",
    "credential_spec": "remove it",
    "device_cgroup_rules": "remove it",
    "devices": "remove it; with `privileged: true` and a bind mount of the device the service can reach it",
    "extends": "write the service out in this file",
    "external_links": "write the outside address into `extra_hosts`",
    "gpus": "remove it",
    "isolation": "remove it",
    "models": "remove it",
    "post_start": "move it into the image's entrypoint",
    "pre_stop": "move it into the image's entrypoint",
    "provider": "remove it",
    "runtime": "remove it; the node's container runtime is used",
    "storage_opt": "remove it",
    "use_api_socket": "remove it",
    "userns_mode": "remove it",
    "uts": "remove it",
    "volumes_from": "name the volumes of the other service in `volumes`",
}
_RESTART = {"always": "Always", "unless-stopped": "Always", "no": "Never", "on-failure": "OnFailure"}
_CONDITIONS = {
    "service_started": "Started",
    "service_healthy": "Ready",
    "service_completed_successfully": "Completed",
}
_PULL = {"always": "Always", "never": "Never", "missing": "IfNotPresent", "if_not_present": "IfNotPresent"}
# Ports that people open in a browser; the name makes one the site that is shown.
_HTTP = (80, 8080, 8000, 3000, 5000, 8888)


@dataclasses.dataclass(frozen=True, slots=True)
class Need:
    """Another service that comes first: the condition that it must meet, and the field that asks for it."""

    condition: str
    at: str


@dataclasses.dataclass(slots=True)
class Service:
    """What a service becomes, while its keys are read."""

    name: str
    at: str
    report: compose_report.Report
    # Directory of the Compose file, for paths that are relative to it.
    directory: str
    environment: Mapping[str, str]
    files: Mapping[str, str]
    container: dict[str, Any]
    pod: dict[str, Any] = dataclasses.field(default_factory=dict)
    annotations: dict[str, str] = dataclasses.field(default_factory=dict)
    unit: dict[str, Any] = dataclasses.field(default_factory=dict)
    mounts: compose_mounts.Mounts = dataclasses.field(default_factory=compose_mounts.Mounts)
    # By service name.
    depends: dict[str, Need] = dataclasses.field(default_factory=dict)
    env_files: dict[str, str] = dataclasses.field(default_factory=dict)
    env: dict[str, str] = dataclasses.field(default_factory=dict)
    restart: str = ""

    def security(self) -> dict[str, Any]:
        """The container's security context, made when first asked for."""
        found: dict[str, Any] = self.container.setdefault("securityContext", {})
        return found


def convert(service: Service, said: Mapping[str, Any]) -> None:
    """Read all keys of a service; what is wrong goes into the report."""
    for name, value in said.items():
        key = str(name)
        at = f"{service.at}.{key}"
        if key.startswith("x-") or value is None or key in ("profiles", "scale"):
            continue
        if key in _REFUSED:
            service.report.refuse(at, f"is not supported: {_REFUSED[key]}", reason=kind.Reason.NOT_SUPPORTED)
        elif key in _IGNORED:
            because = f" ({_IGNORED[key]})" if _IGNORED[key] else ""
            if key not in ("expose", "attach", "develop"):
                service.report.warn(at, f"has no effect{because}")
        elif key in _READERS:
            with service.report.catching(at):
                _READERS[key](service, value, at)
        else:
            service.report.unknown(at, key, {*_READERS, *_IGNORED, *_REFUSED})
    if said.get("scale") is not None:
        with service.report.catching(f"{service.at}.scale"):
            service.unit["replicas"] = compose_values.whole(said["scale"])
    if not said.get("image") and "build" not in said:
        service.report.refuse(f"{service.at}.image", "is missing: name the image to run", reason=kind.Reason.REQUIRED)
    _name_ports(service)
    env = service.env_files | service.env
    if env:
        # Kubernetes would expand $(NAME).
        service.container["env"] = [{"name": name, "value": value.replace("$(", "$$(")} for name, value in env.items()]


def _image(service: Service, value: Any, at: str) -> None:
    service.container["image"] = compose_values.scalar(value)


def _command(service: Service, value: Any, at: str) -> None:
    service.container["args"] = [word.replace("$(", "$$(") for word in compose_values.words(value)]


def _entrypoint(service: Service, value: Any, at: str) -> None:
    command = [word.replace("$(", "$$(") for word in compose_values.words(value)]
    if not command:
        raise ValueError("cannot be empty: write out the whole command in `entrypoint`")
    service.container["command"] = command


def _environment(service: Service, value: Any, at: str) -> None:
    for name, text in compose_values.mapping(value).items():
        if text is not None:
            service.env[name] = text
        elif name in service.environment:
            service.env[name] = service.environment[name]
        else:
            service.report.warn(f"{at}.{name}", "is not set in your environment and left out")


def _env_file(service: Service, value: Any, at: str) -> None:
    for index, item in enumerate(value if isinstance(value, list) else [value]):
        path = item.get("path", "") if isinstance(item, dict) else item
        required = compose_values.flag(item.get("required", True)) if isinstance(item, dict) else True
        if path in service.files:
            service.env_files |= compose_values.env_file(service.files[path])
        elif required:
            service.report.refuse(f"{at}[{index}]", f"{path} cannot be read: put it beside the Compose file")


def _ports(service: Service, value: Any, at: str) -> None:
    if not isinstance(value, list):
        raise ValueError("expected a list")
    ports = service.container.setdefault("ports", [])
    for index, item in enumerate(value):
        with service.report.catching(f"{at}[{index}]"):
            ports.extend(
                _long_port(item) if isinstance(item, dict) else compose_values.port(compose_values.scalar(item))
            )


def _long_port(said: dict[str, Any]) -> list[dict[str, Any]]:
    unknown = set(said) - {"target", "published", "host_ip", "protocol", "app_protocol", "mode", "name"}
    if unknown:
        raise ValueError(f"{sorted(unknown)[0]} is not known for a port")
    if "target" not in said:
        raise ValueError("target is missing: write the container's port")
    host = f"{said['published']}:" if said.get("published") not in (None, "") else ""
    ip = f"{said['host_ip']}:" if said.get("host_ip") and host else ""
    entries = compose_values.port(f"{ip}{host}{said['target']}/{said.get('protocol') or 'tcp'}")
    name = said.get("name") or said.get("app_protocol")
    if name and len(entries) == 1:
        label = compose_report.label(str(name))[:15].strip("-")
        entries[0]["name"] = label if re.search(r"[a-z]", label) else f"port-{label}"
    return entries


def _name_ports(service: Service) -> None:
    """Names for ports that have none, since templates and probes refer to ports by name."""
    ports = service.container.get("ports", [])
    # The same container port on several host ports or protocols stays, a plain repetition goes.
    seen: set[tuple[Any, ...]] = set()
    kept = []
    for port in ports:
        identity = (port["containerPort"], port["protocol"], port.get("hostPort"), port.get("hostIP"))
        if identity not in seen:
            seen.add(identity)
            kept.append(port)
    taken = {port["name"] for port in kept if "name" in port}
    for port in kept:
        if "name" in port:
            continue
        number = port["containerPort"]
        name = f"{port['protocol'].lower()}-{number}"
        if number in _HTTP and port["protocol"] == "TCP" and "http" not in taken:
            name = "http"
        elif number == 443 and "https" not in taken:
            name = "https"
        if name not in taken:
            port["name"] = name
            taken.add(name)
    if kept:
        service.container["ports"] = kept


def _depends_on(service: Service, value: Any, at: str) -> None:
    if isinstance(value, list):
        service.depends |= {name: Need("Started", f"{at}.{name}") for name in compose_values.texts(value)}
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
        service.depends[str(name)] = Need(_CONDITIONS[condition], f"{at}.{name}")
        if not compose_values.flag(said.get("required", True)):
            service.report.optional.add((service.name, str(name)))


def _healthcheck(service: Service, value: Any, at: str) -> None:
    """A startup probe that never gives up, then a readiness probe: as in Compose, nothing is restarted by it."""
    known = {"test", "interval", "timeout", "retries", "start_period", "start_interval", "disable"}
    unknown = {key for key in set(value) - known if not key.startswith("x-")}
    if unknown:
        raise ValueError(f"{sorted(unknown)[0]} is not known: use {', '.join(sorted(known))}")
    test = value.get("test")
    if compose_values.flag(value.get("disable", False)) or test in ("NONE", ["NONE"]):
        return
    if not test:
        raise ValueError("has no test: health checks inside images are not read, so write the test here")
    if isinstance(test, str):
        command = ["/bin/sh", "-c", test]
    elif test[0] == "CMD":
        command = compose_values.texts(test[1:])
    elif test[0] == "CMD-SHELL":
        command = ["/bin/sh", "-c", " ".join(compose_values.texts(test[1:]))]
    else:
        raise ValueError(f"test starts with {test[0]!r}: use CMD, CMD-SHELL or NONE")
    interval = compose_values.duration(value.get("interval", 30))
    timeout = max(1, math.ceil(compose_values.duration(value.get("timeout", 30))))
    start = compose_values.duration(value.get("start_interval", min(5, interval)))
    service.container["startupProbe"] = {
        "exec": {"command": command},
        "timeoutSeconds": timeout,
        "periodSeconds": max(1, math.ceil(start)),
        "failureThreshold": 2**31 - 1,
    }
    service.container["readinessProbe"] = {
        "exec": {"command": list(command)},
        "timeoutSeconds": timeout,
        "periodSeconds": max(1, math.ceil(interval)),
        "failureThreshold": max(1, compose_values.whole(value.get("retries", 3))),
    }


def _restart(service: Service, value: Any, at: str) -> None:
    # YAML reads a bare `no` as false.
    word = "no" if value is False else str(value).partition(":")[0]
    if word not in _RESTART:
        raise ValueError(f"{value!r} is not known: use one of {', '.join(_RESTART)}")
    if ":" in str(value):
        service.report.warn(at, "retries are not counted: failures are retried with growing delay")
    service.restart = _RESTART[word]


def _deploy(service: Service, value: Any, at: str) -> None:
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


def _resources(service: Service, value: Any, at: str) -> None:
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


def _limit(resource: str, part: str, read: Callable[[Any], str]) -> Callable[[Service, Any, str], None]:
    def reader(service: Service, value: Any, at: str) -> None:
        resources = service.container.setdefault("resources", {})
        resources.setdefault(part, {}).setdefault(resource, read(value))

    return reader


def _memory(value: Any) -> str:
    return str(compose_values.size(value))


def _user(service: Service, value: Any, at: str) -> None:
    user, _, group = compose_values.scalar(value).partition(":")
    numbers = {"root": "0"}
    for text, field in ((user, "runAsUser"), (group, "runAsGroup")):
        number = numbers.get(text, text)
        if number.isdigit():
            service.security()[field] = int(number)
        elif text:
            raise ValueError(f"{text!r} is a name, which only the image knows: write the number, such as 1000:1000")


def _labels(service: Service, value: Any, at: str) -> None:
    for name, text in compose_values.mapping(value).items():
        if re.fullmatch(r"(?:[a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", name):
            service.annotations[name] = text or ""
        else:
            service.report.warn(f"{at}.{name}", "cannot be an annotation and is left out")


def _networks(service: Service, value: Any, at: str) -> None:
    names = list(value)
    if names not in ([], ["default"]):
        service.report.warn(at, "has no effect: all Units of a Box share one network and reach each other")
    if isinstance(value, dict):
        for name, said in value.items():
            for alias in (said or {}).get("aliases", []):
                if alias != service.name:
                    raise ValueError(f"{name}.aliases: {alias} would not resolve: name the service {alias}")
            if (said or {}).get("ipv4_address"):
                service.report.warn(f"{at}.{name}", "ipv4_address has no effect: addresses come from the AddressPool")


def _network_mode(service: Service, value: Any, at: str) -> None:
    if value == "host":
        service.pod["hostNetwork"] = True
        service.pod["dnsPolicy"] = "ClusterFirstWithHostNet"
    elif value != "bridge":
        raise ValueError(f"{value!r} is not supported: use host, or leave it out for an address of its own")


def _links(service: Service, value: Any, at: str) -> None:
    for item in compose_values.texts(value):
        name, _, alias = item.partition(":")
        if alias and alias != name:
            raise ValueError(f"{alias} would not resolve: name the service {alias}, or use {name} in its clients")
        service.depends.setdefault(name, Need("Started", f"{at}.{name}"))


def _namespace_mode(field: str) -> Callable[[Service, Any, str], None]:
    def reader(service: Service, value: Any, at: str) -> None:
        if value == "host":
            service.pod[field] = True
        elif value not in ("private", "shareable"):
            raise ValueError(f"{value!r} is not supported: use host, or leave it out")

    return reader


def _extra_hosts(service: Service, value: Any, at: str) -> None:
    for name, ip in compose_values.mapping(value, separators="=:").items():
        if not ip or ip == "host-gateway":
            raise ValueError(f"{name}: write its IP address instead of {ip or 'nothing'}")
        service.pod.setdefault("hostAliases", []).append({"ip": ip.strip("[]"), "hostnames": [name]})


def _sysctls(service: Service, value: Any, at: str) -> None:
    context = service.pod.setdefault("securityContext", {})
    context["sysctls"] = [{"name": name, "value": text or ""} for name, text in compose_values.mapping(value).items()]


def _capabilities(field: str) -> Callable[[Service, Any, str], None]:
    def reader(service: Service, value: Any, at: str) -> None:
        names = [name.upper().removeprefix("CAP_") for name in compose_values.texts(value)]
        service.security().setdefault("capabilities", {})[field] = names

    return reader


def _security_opt(service: Service, value: Any, at: str) -> None:
    for option in compose_values.texts(value):
        if option.replace("=", ":") in ("no-new-privileges", "no-new-privileges:true"):
            service.security()["allowPrivilegeEscalation"] = False
        else:
            service.report.warn(at, f"{option} has no effect")


def _groups(service: Service, value: Any, at: str) -> None:
    context = service.pod.setdefault("securityContext", {})
    context["supplementalGroups"] = [compose_values.whole(group) for group in compose_values.texts(value)]


def _platform(service: Service, value: Any, at: str) -> None:
    system, _, rest = str(value).partition("/")
    if system != "linux" or not rest:
        raise ValueError(f"{value!r} is not supported: use linux/amd64 or linux/arm64")
    service.pod["nodeSelector"] = {"kubernetes.io/arch": rest.split("/")[0]}


def _pull_policy(service: Service, value: Any, at: str) -> None:
    if value not in _PULL:
        raise ValueError(f"{value!r} is not supported: use one of {', '.join(_PULL)}")
    service.container["imagePullPolicy"] = _PULL[value]


def _dns(option: str) -> Callable[[Service, Any, str], None]:
    def reader(service: Service, value: Any, at: str) -> None:
        found = compose_values.texts(value)
        config = service.pod.setdefault("dnsConfig", {})
        if option == "options":
            config[option] = [
                {"name": name} | ({"value": text} if colon else {})
                for name, colon, text in (item.partition(":") for item in found)
            ]
        else:
            config[option] = found

    return reader


def _flag(field: str) -> Callable[[Service, Any, str], None]:
    def reader(service: Service, value: Any, at: str) -> None:
        if compose_values.flag(value):
            service.container[field] = True

    return reader


def _security_flag(field: str) -> Callable[[Service, Any, str], None]:
    def reader(service: Service, value: Any, at: str) -> None:
        if compose_values.flag(value):
            service.security()[field] = True

    return reader


def _init(service: Service, value: Any, at: str) -> None:
    if compose_values.flag(value):
        # The sandbox's first process then reaps what the program leaves.
        service.pod["shareProcessNamespace"] = True


def _hostname(service: Service, value: Any, at: str) -> None:
    service.pod["hostname"] = compose_values.scalar(value)
    if compose_report.label(service.pod["hostname"]) != service.pod["hostname"]:
        raise ValueError(f"{value!r} is not a host name: use small letters, digits and -")


def _working_dir(service: Service, value: Any, at: str) -> None:
    path = compose_values.scalar(value)
    if not posixpath.isabs(path):
        raise ValueError(f"{path!r} is not an absolute path")
    service.container["workingDir"] = path


def _grace(service: Service, value: Any, at: str) -> None:
    service.pod["terminationGracePeriodSeconds"] = math.ceil(compose_values.duration(value))


def _annotations(service: Service, value: Any, at: str) -> None:
    _labels(service, value, at)


def _volumes(service: Service, value: Any, at: str) -> None:
    if not isinstance(value, list):
        raise ValueError("expected a list")
    for index, item in enumerate(value):
        where = f"{at}[{index}]"
        with service.report.catching(where):
            compose_mounts.add_volume(
                service.mounts, item, at=where, report=service.report, directory=service.directory
            )


def _tmpfs(service: Service, value: Any, at: str) -> None:
    for item in compose_values.texts(value):
        path, _, options = item.partition(":")
        sizes = [option[5:] for option in options.split(",") if option.startswith("size=")]
        compose_mounts.add_memory(service.mounts, path, size=compose_values.size(sizes[0]) if sizes else None)


def _shm_size(service: Service, value: Any, at: str) -> None:
    compose_mounts.add_memory(service.mounts, "/dev/shm", size=compose_values.size(value))  # noqa: S108


def _sources(source: str) -> Callable[[Service, Any, str], None]:
    def reader(service: Service, value: Any, at: str) -> None:
        for index, item in enumerate(value):
            with service.report.catching(f"{at}[{index}]"):
                compose_mounts.add_source(service.mounts, item, kind=source, at=f"{at}[{index}]", report=service.report)

    return reader


_READERS: Mapping[str, Callable[[Service, Any, str], None]] = {
    "annotations": _annotations,
    "cap_add": _capabilities("add"),
    "cap_drop": _capabilities("drop"),
    "command": _command,
    "configs": _sources("configs"),
    "cpus": _limit("cpu", "limits", _cpus),
    "depends_on": _depends_on,
    "deploy": _deploy,
    "dns": _dns("nameservers"),
    "dns_opt": _dns("options"),
    "dns_search": _dns("searches"),
    "entrypoint": _entrypoint,
    "env_file": _env_file,
    "environment": _environment,
    "extra_hosts": _extra_hosts,
    "group_add": _groups,
    "healthcheck": _healthcheck,
    "hostname": _hostname,
    "image": _image,
    "init": _init,
    "ipc": _namespace_mode("hostIPC"),
    "labels": _labels,
    "links": _links,
    "mem_limit": _limit("memory", "limits", _memory),
    "mem_reservation": _limit("memory", "requests", _memory),
    "network_mode": _network_mode,
    "networks": _networks,
    "pid": _namespace_mode("hostPID"),
    "platform": _platform,
    "ports": _ports,
    "privileged": _security_flag("privileged"),
    "pull_policy": _pull_policy,
    "read_only": _security_flag("readOnlyRootFilesystem"),
    "restart": _restart,
    "secrets": _sources("secrets"),
    "security_opt": _security_opt,
    "shm_size": _shm_size,
    "stdin_open": _flag("stdin"),
    "stop_grace_period": _grace,
    "sysctls": _sysctls,
    "tmpfs": _tmpfs,
    "tty": _flag("tty"),
    "user": _user,
    "volumes": _volumes,
    "working_dir": _working_dir,
}
