"""Keys of a Compose service that say how it is reached and what it reaches: ports, names, networks."""

import re
from collections.abc import Mapping
from typing import Any

from boxfleet.planning import compose_draft, compose_report, compose_values

# Ports that people open in a browser; the name makes one the site that is shown.
_HTTP = (80, 8080, 8000, 3000, 5000, 8888)


def _ports(service: compose_draft.Service, value: Any, at: str) -> None:
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


def name_ports(service: compose_draft.Service) -> None:
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


def _networks(service: compose_draft.Service, value: Any, at: str) -> None:
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


def _network_mode(service: compose_draft.Service, value: Any, at: str) -> None:
    if value == "host":
        service.pod["hostNetwork"] = True
        service.pod["dnsPolicy"] = "ClusterFirstWithHostNet"
    elif value != "bridge":
        raise ValueError(f"{value!r} is not supported: use host, or leave it out for an address of its own")


def _extra_hosts(service: compose_draft.Service, value: Any, at: str) -> None:
    for name, ip in compose_values.mapping(value, separators="=:").items():
        if not ip or ip == "host-gateway":
            raise ValueError(f"{name}: write its IP address instead of {ip or 'nothing'}")
        service.pod.setdefault("hostAliases", []).append({"ip": ip.strip("[]"), "hostnames": [name]})


def _dns(option: str) -> compose_draft.Reader:
    def reader(service: compose_draft.Service, value: Any, at: str) -> None:
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


def _hostname(service: compose_draft.Service, value: Any, at: str) -> None:
    service.pod["hostname"] = compose_values.scalar(value)
    if compose_report.label(service.pod["hostname"]) != service.pod["hostname"]:
        raise ValueError(f"{value!r} is not a host name: use small letters, digits and -")


READERS: Mapping[str, compose_draft.Reader] = {
    "dns": _dns("nameservers"),
    "dns_opt": _dns("options"),
    "dns_search": _dns("searches"),
    "extra_hosts": _extra_hosts,
    "hostname": _hostname,
    "network_mode": _network_mode,
    "networks": _networks,
    "ports": _ports,
}
