"""What a Compose service becomes, while its keys are read."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from boxfleet.planning import compose_mounts, compose_report


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


# Reads one key: its value, and where it stands. Raises ValueError for what is wrong as a whole.
Reader = Callable[[Service, Any, str], None]
