"""Settings: typed, each with its unit, its default and the reason for it.

They come, later ones winning, from the defaults here, from STATE/settings.yaml, from the environment
(``BOXFLEET_PORT`` and so on) and from flags. `up` writes what differs from the defaults to the file, so that services,
which see neither flags nor environment, run with the same.
"""

import dataclasses
import os
import pathlib
import socket
import typing
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec
import yaml

from boxfleet.api import wellknown
from boxfleet.kit import durable

ENVIRONMENT_PREFIX = "BOXFLEET_"
FILE = "settings.yaml"
# Where settings themselves are found cannot be said in the file that lies there.
_NOT_IN_FILE = ("state",)


class SettingsError(Exception):
    """A setting is unknown or has no use as it is; the text names it, its source and what is allowed."""


def _host_name() -> str:
    return socket.gethostname().lower() or "localhost"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Instance:
    """What every process of one Boxfleet on this machine knows."""

    state: Annotated[
        str,
        msgspec.Meta(
            description="What must outlive a reboot: keys, the store, volumes, images.", extra={"unit": "folder"}
        ),
    ] = "/var/lib/boxfleet"
    run: Annotated[
        str,
        msgspec.Meta(
            description="Sockets, pid files and service folders, gone after a reboot. At most 60 characters, since "
            "paths of Unix sockets below it end at 107.",
            max_length=60,
            extra={"unit": "folder"},
        ),
    ] = "/run/boxfleet"
    listen: Annotated[
        str,
        msgspec.Meta(
            description="Where the API listens. Loopback, since nothing is open before somebody says so.",
            extra={"unit": "IP address"},
        ),
    ] = "127.0.0.1"
    port: Annotated[
        int,
        msgspec.Meta(
            description="The API's port: 6443 is often taken by Kubernetes.", ge=1, le=65535, extra={"unit": "TCP port"}
        ),
    ] = 7443
    node: Annotated[
        str,
        msgspec.Meta(
            description="The name of this machine's Node. The default is the host name, in lower case.",
            pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$",
            extra={"unit": "DNS name"},
        ),
    ] = dataclasses.field(default_factory=_host_name)
    domain: Annotated[
        str,
        msgspec.Meta(
            description="The suffix of every domain name; .internal is reserved for private use.",
            extra={"unit": "DNS suffix"},
        ),
    ] = wellknown.DOMAIN
    cidr: Annotated[
        str,
        msgspec.Meta(
            description="The first AddressPool, made at the first start. Its first address is this machine's own on "
            "it. A range that home and office networks seldom use.",
            extra={"unit": "network"},
        ),
    ] = wellknown.NETWORK
    log_level: Annotated[
        str,
        msgspec.Meta(
            description="What the services write to their logs.",
            pattern="^(debug|info|warning|error)$",
            extra={"unit": "word"},
        ),
    ] = "info"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Server(Instance):
    """What the server process knows besides."""

    names: Annotated[
        tuple[str, ...],
        msgspec.Meta(
            description="More names and addresses by which clients call this server, for its certificate.",
            extra={"unit": "DNS names or IP addresses"},
        ),
    ] = ()
    advertise: Annotated[
        str,
        msgspec.Meta(
            description="Where agents on other machines reach this server, when several share a store and `listen` is "
            "not it. It is among the names of the certificate.",
            extra={"unit": "DNS name or IP address"},
        ),
    ] = ""
    store: Annotated[
        str,
        msgspec.Meta(
            description="Where objects are kept. A file in `state` when empty; postgresql://USER@HOST/DATABASE lets "
            "several servers share one. Without a password, for URLs are shown. `boxfleet store move` changes it.",
            extra={"unit": "URL or path"},
        ),
    ] = ""
    store_password_file: Annotated[
        str,
        msgspec.Meta(
            description="The file that holds the database's password, readable by its owner only; when empty, libpq's "
            "own ways hold (PGPASSFILE, ~/.pgpass). Services run elsewhere, so the path is absolute.",
            pattern="^(/.*)?$",
            extra={"unit": "path"},
        ),
    ] = ""
    stop_delay: Annotated[
        float,
        msgspec.Meta(
            description="How long a server that is told to stop serves on while /readyz fails: as long as a balancer "
            "before several servers needs to notice. None where nothing stands before it.",
            ge=0,
            le=10,
            extra={"unit": "seconds"},
        ),
    ] = 0.0
    takeover: Annotated[
        bool,
        msgspec.Meta(
            description="Make instances of a lost host elsewhere. Hosts then end theirs when no server hears of them; "
            "see docs/hosts.md. Where it is off, instances of a lost host come back with it.",
            extra={"unit": "true or false"},
        ),
    ] = True
    request_rate: Annotated[
        float,
        msgspec.Meta(
            description="Requests a second that each user may make in the long run; 0 is any number, since users who "
            "ask for much wait in queues of their own and do not hold up others.",
            ge=0,
            extra={"unit": "requests per second"},
        ),
    ] = 0.0
    audit_policy: Annotated[
        str,
        msgspec.Meta(
            description="Which requests the audit log has: a Policy of audit.k8s.io/v1 with the levels None and "
            "Metadata. When empty: every write but heartbeats, sessions, impersonation and refusals.",
            extra={"unit": "path"},
        ),
    ] = ""
    audit_required: Annotated[
        bool,
        msgspec.Meta(
            description="Refuse writes and sessions while the audit log cannot be written: nothing is done unrecorded.",
            extra={"unit": "true or false"},
        ),
    ] = True
    audit_flush: Annotated[
        str,
        msgspec.Meta(
            description="When the disk itself has a record: within a `second`, which a power cut may cost, or before "
            "the `answer`, which takes every write longer. The death of the server costs no record either way.",
            pattern="^(second|answer)$",
            extra={"unit": "word"},
        ),
    ] = "second"
    audit_days: Annotated[
        int,
        msgspec.Meta(
            description="How long audit files and recordings are kept: a quarter, as most audits ask for.",
            ge=1,
            extra={"unit": "days"},
        ),
    ] = 90
    audit_size: Annotated[
        str,
        msgspec.Meta(
            description="What a server's audit files may take together; beyond that the oldest go.",
            extra={"unit": "bytes quantity"},
        ),
    ] = "10Gi"
    bridge: Annotated[
        str,
        msgspec.Meta(
            description="The bridge of that pool on each host. The kernel allows 15 characters.",
            pattern="^[a-zA-Z0-9_-]{1,15}$",
            extra={"unit": "interface name"},
        ),
    ] = wellknown.BRIDGE


@dataclasses.dataclass(frozen=True, kw_only=True)
class Agent(Instance):
    """What the agent process knows besides."""

    servers: Annotated[
        tuple[str, ...],
        msgspec.Meta(
            description="Where the agent finds the API first, one after the other; by `listen` and `port` when empty. "
            "Further servers announce themselves.",
            extra={"unit": "URLs"},
        ),
    ] = ()
    serves: Annotated[
        bool,
        msgspec.Meta(
            description="Whether this machine runs a server besides its agent. `boxfleet node join` sets it to false.",
            extra={"unit": "true or false"},
        ),
    ] = True
    cgroup_parent: Annotated[
        str,
        msgspec.Meta(
            description="All instances live below it, so that the host can be kept safe from them as a whole.",
            pattern="^/[-a-zA-Z0-9_.]+$",
            extra={"unit": "cgroup path"},
        ),
    ] = "/boxfleet"
    reserved_cpu: Annotated[
        str,
        msgspec.Meta(
            description="Kept for the host itself and out of what instances may request; by the number of cores when "
            "empty.",
            extra={"unit": "CPU quantity"},
        ),
    ] = ""
    reserved_memory: Annotated[
        str,
        msgspec.Meta(
            description="Kept for the host itself, as the CPU is; by the size of memory when empty.",
            extra={"unit": "bytes quantity"},
        ),
    ] = ""
    memory_pressure: Annotated[
        int,
        msgspec.Meta(
            description="Free memory below which the host gets no new instances and stops some, one after the other; "
            "0 is never.",
            ge=0,
            le=50,
            extra={"unit": "percent"},
        ),
    ] = 3
    disk_pressure: Annotated[
        int,
        msgspec.Meta(
            description="Free room of the file system of `state`, as for memory; what nobody needs goes first.",
            ge=0,
            le=50,
            extra={"unit": "percent"},
        ),
    ] = 10
    facts_scripts: Annotated[
        str,
        msgspec.Meta(
            description="Programs that say more labels of this host, one after the other; only what root alone can "
            "write is run. STATE/facts.d when empty.",
            extra={"unit": "folder"},
        ),
    ] = ""
    measure_disk: Annotated[
        bool,
        msgspec.Meta(
            description="Measure the disk of `state` once, at a quiet moment after the first start: 16 MiB and some "
            "hundred small writes, for at most some seconds.",
            extra={"unit": "true or false"},
        ),
    ] = True
    resources: Annotated[
        tuple[str, ...],
        msgspec.Meta(
            description="What this host offers, whatever is found: bandwidth that its link does not say, devices that "
            "have no name yet; an amount of 0 takes away.",
            extra={"unit": "NAME=QUANTITY"},
        ),
    ] = ()
    image_cache: Annotated[
        str,
        msgspec.Meta(
            description="Built images, kept for the next build. When empty it lies in `state` and goes with it; a "
            "folder that is named here stays when Boxfleet is purged.",
            extra={"unit": "folder"},
        ),
    ] = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class All(Server, Agent):
    """Every setting: what `up` knows, which starts both processes."""


S = TypeVar("S", bound=Instance)

# The type of every setting by name, with what it means and its unit.
TYPES: dict[str, Any] = typing.get_type_hints(All, include_extras=True)


def load(
    kind: type[S],
    *,
    flags: Mapping[str, Any],
    environ: Mapping[str, str] = os.environ,
    file: Mapping[str, Any] | None = None,
) -> S:
    """The settings of one process. A flag that is None was not given. Raises SettingsError.

    `file` stands for the content of STATE/settings.yaml, which is not read then.
    """
    values: dict[str, Any] = {}
    given = {name: value for name, value in flags.items() if value is not None}
    named = {
        name.removeprefix(ENVIRONMENT_PREFIX).lower(): value
        for name, value in environ.items()
        if name.startswith(ENVIRONMENT_PREFIX)
    }
    state = given.get("state") or named.get("state") or Instance().state
    path = pathlib.Path(state) / FILE
    values |= checked(read(path) if file is None else file, str(path))
    values |= checked({name: value for name, value in named.items() if name in TYPES}, "the environment")
    values |= checked(given, "flags")
    values["state"] = str(pathlib.Path(state).absolute())
    wanted = {field.name for field in dataclasses.fields(kind)}
    return kind(**{name: value for name, value in values.items() if name in wanted})


def save(settings: All) -> None:
    """Write what differs from the defaults to STATE/settings.yaml."""
    default = All()
    changed = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in dataclasses.asdict(settings).items()
        if name not in _NOT_IN_FILE and value != getattr(default, name)
    }
    # The Node keeps its name for good, also when the host is renamed.
    changed["node"] = settings.node
    head = "# Written by `boxfleet up`; docs/settings.md says what each means. Takes effect at the next start.\n"
    durable.write(pathlib.Path(settings.state) / FILE, (head + yaml.safe_dump(changed)).encode())


def checked(found: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The settings of one source, with their types. Raises SettingsError."""
    for name in found:
        if name not in TYPES:
            raise SettingsError(f"{source}: there is no setting {name!r}; docs/settings.md names them all")
    return {name: _checked(name, value, source) for name, value in found.items()}


def read(path: pathlib.Path) -> dict[str, Any]:
    """What a settings file says, as it is there; nothing when there is none. Raises SettingsError."""
    try:
        loaded = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        return {}
    except PermissionError:
        raise SettingsError(f"cannot read {path}: permission denied; run it again with sudo") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"cannot read {path}: {error}") from None
    if not isinstance(loaded, dict | None):
        raise SettingsError(f"{path}: not a list of `name: value` lines")
    return loaded or {}


def _checked(name: str, value: Any, source: str) -> Any:
    if name in ("run", "image_cache", "facts_scripts") and isinstance(value, str) and value:
        # Services run elsewhere.
        value = str(pathlib.Path(value).absolute())
    if name in ("names", "servers", "resources") and isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    try:
        return msgspec.convert(value, TYPES[name], strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{source}: {name} = {value!r} does not fit: {error}") from None
