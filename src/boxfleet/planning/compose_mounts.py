"""Volumes, memory folders, configs and secrets of a Compose service as Kubernetes volumes and mounts."""

import dataclasses
import posixpath
from typing import Any

from boxfleet.planning import compose_report, compose_values


@dataclasses.dataclass(slots=True)
class Source:
    """A config or secret that a service mounts."""

    name: str
    at: str
    target: str
    mode: int | None


@dataclasses.dataclass(slots=True)
class Mounts:
    """What a service mounts."""

    # Pod volumes by name, and the container's mounts.
    volumes: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    mounts: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    # Named volumes of the file that the service uses, with the place that says so.
    named: dict[str, str] = dataclasses.field(default_factory=dict)
    configs: list[Source] = dataclasses.field(default_factory=list)
    secrets: list[Source] = dataclasses.field(default_factory=list)


def add_volume(mounts: Mounts, said: Any, *, at: str, report: compose_report.Report, directory: str) -> None:
    """One entry of ``volumes``, in the short or the long form; raises ValueError."""
    entry = _long(said) if isinstance(said, dict) else _short(compose_values.scalar(said))
    target = entry["target"]
    if not posixpath.isabs(target):
        raise ValueError(f"{target!r} is not an absolute path in the container")
    if entry["type"] == "tmpfs":
        add_memory(mounts, target, size=entry.get("size"))
        return
    mount: dict[str, Any] = {"mountPath": posixpath.normpath(target)}
    if entry["read_only"]:
        mount["readOnly"] = True
    if entry.get("sub_path"):
        mount["subPath"] = entry["sub_path"]
    source = entry["source"]
    if entry["type"] == "bind":
        if source.startswith("~"):
            raise ValueError(f"{source!r} depends on who runs it: write the path out")
        path = posixpath.normpath(posixpath.join(directory, source))
        if not posixpath.isabs(path):
            raise ValueError(f"{source!r} is relative to a folder that is not known: write an absolute path")
        report.warn(at, f"{path} is taken from the node that runs the instance, which must have it")
        name = f"host-{len(mounts.volumes)}"
        mounts.volumes[name] = {"hostPath": {"path": path}}
    elif source:
        name = compose_report.label(source)
        mounts.named[source] = at
    else:
        report.warn(at, "has no name, so its data goes with the instance: name the volume to keep it")
        name = f"scratch-{len(mounts.volumes)}"
        mounts.volumes[name] = {"emptyDir": {}}
    mounts.mounts.append({"name": name} | mount)


def add_memory(mounts: Mounts, target: str, *, size: int | None) -> None:
    """A folder in memory; raises ValueError."""
    if not posixpath.isabs(target):
        raise ValueError(f"{target!r} is not an absolute path in the container")
    name = f"memory-{len(mounts.volumes)}"
    mounts.volumes[name] = {"emptyDir": {"medium": "Memory"} | ({"sizeLimit": str(size)} if size else {})}
    mounts.mounts.append({"name": name, "mountPath": posixpath.normpath(target)})


def add_source(mounts: Mounts, said: Any, *, kind: str, at: str, report: compose_report.Report) -> None:
    """One entry of ``configs`` or ``secrets``; raises ValueError."""
    entry = said if isinstance(said, dict) else {"source": compose_values.scalar(said)}
    unknown = set(entry) - {"source", "target", "uid", "gid", "mode"}
    if unknown:
        raise ValueError(f"{sorted(unknown)[0]} is not known: use source, target and mode")
    if not entry.get("source"):
        raise ValueError("source is missing: name one of the file's " + kind)
    if entry.get("uid") or entry.get("gid"):
        report.warn(at, "uid and gid have no effect: the file belongs to root, readable for all")
    name = str(entry["source"])
    home = "/run/secrets/" if kind == "secrets" else "/"
    mode = entry.get("mode")
    source = Source(
        name=name,
        at=at,
        target=posixpath.join(home, str(entry.get("target") or name)),
        # YAML 1.1 reads 0440 as octal, a quoted one is text.
        mode=int(mode, 8) if isinstance(mode, str) else mode,
    )
    (mounts.secrets if kind == "secrets" else mounts.configs).append(source)


def _short(text: str) -> dict[str, Any]:
    """``[SOURCE:]TARGET[:OPTIONS]``."""
    parts = text.split(":")
    if len(parts) == 1:
        return {"type": "volume", "source": "", "target": parts[0], "read_only": False}
    if len(parts) > 3:
        raise ValueError(f"{text!r} is not a volume: write it as NAME:/path or ./folder:/path:ro")
    source, target = parts[0], parts[1]
    options = parts[2].split(",") if len(parts) == 3 else []
    unknown = set(options) - {"ro", "rw", "z", "Z", "cached", "delegated", "consistent", "nocopy", ""}
    if unknown:
        raise ValueError(f"option {sorted(unknown)[0]!r} of {text!r} is not supported: use ro or rw")
    kind = "bind" if source.startswith((".", "/", "~")) else "volume"
    return {"type": kind, "source": source, "target": target, "read_only": "ro" in options}


def _long(said: dict[str, Any]) -> dict[str, Any]:
    known = {"type", "source", "target", "read_only", "bind", "volume", "tmpfs", "consistency"}
    unknown = {key for key in set(said) - known if not key.startswith("x-")}
    if unknown:
        raise ValueError(f"{sorted(unknown)[0]} is not known: use {', '.join(sorted(known))}")
    kind = said.get("type", "volume")
    if kind not in ("volume", "bind", "tmpfs"):
        raise ValueError(f"type {kind!r} is not supported: use volume, bind or tmpfs")
    if not said.get("target"):
        raise ValueError("target is missing: write the path in the container")
    if kind == "bind" and not said.get("source"):
        raise ValueError("source is missing: write the path on the host")
    size = (said.get("tmpfs") or {}).get("size")
    return {
        "type": kind,
        "source": str(said.get("source") or ""),
        "target": str(said["target"]),
        "read_only": compose_values.flag(said.get("read_only", False)),
        "sub_path": (said.get("volume") or {}).get("subpath"),
        "size": compose_values.size(size) if size is not None else None,
    }
