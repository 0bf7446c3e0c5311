"""One Compose service as a Unit: every key is converted, warned about, or refused with the remedy."""

from collections.abc import Mapping
from typing import Any

from boxfleet.api import kind
from boxfleet.planning import (
    compose_container,
    compose_deploy,
    compose_draft,
    compose_mounts,
    compose_network,
    compose_values,
)

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


def convert(service: compose_draft.Service, said: Mapping[str, Any]) -> None:
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
    compose_network.name_ports(service)
    env = service.env_files | service.env
    if env:
        # Kubernetes would expand $(NAME).
        service.container["env"] = [{"name": name, "value": value.replace("$(", "$$(")} for name, value in env.items()]


def _volumes(service: compose_draft.Service, value: Any, at: str) -> None:
    if not isinstance(value, list):
        raise ValueError("expected a list")
    for index, item in enumerate(value):
        where = f"{at}[{index}]"
        with service.report.catching(where):
            compose_mounts.add_volume(
                service.mounts, item, at=where, report=service.report, directory=service.directory
            )


def _tmpfs(service: compose_draft.Service, value: Any, at: str) -> None:
    for item in compose_values.texts(value):
        path, _, options = item.partition(":")
        sizes = [option[5:] for option in options.split(",") if option.startswith("size=")]
        compose_mounts.add_memory(service.mounts, path, size=compose_values.size(sizes[0]) if sizes else None)


def _shm_size(service: compose_draft.Service, value: Any, at: str) -> None:
    compose_mounts.add_memory(service.mounts, "/dev/shm", size=compose_values.size(value))  # noqa: S108


def _sources(source: str) -> compose_draft.Reader:
    def reader(service: compose_draft.Service, value: Any, at: str) -> None:
        for index, item in enumerate(value):
            with service.report.catching(f"{at}[{index}]"):
                compose_mounts.add_source(service.mounts, item, kind=source, at=f"{at}[{index}]", report=service.report)

    return reader


_READERS: Mapping[str, compose_draft.Reader] = {
    **compose_container.READERS,
    **compose_deploy.READERS,
    **compose_network.READERS,
    "configs": _sources("configs"),
    "secrets": _sources("secrets"),
    "shm_size": _shm_size,
    "tmpfs": _tmpfs,
    "volumes": _volumes,
}
