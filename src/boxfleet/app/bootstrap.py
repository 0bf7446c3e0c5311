"""From an empty folder to one that services can start in: settings, keys, credentials, service folders."""

import dataclasses
import datetime
import pathlib
import socket
import sys

from boxfleet.app import (
    access,
    credentials,
    fixed,
    found,
    gateway,
    issuers,
    paths,
    pki,
    secret_keys,
    settings,
    supervision,
    token_keys,
)

_SERVICES = ("server", "agent")
# Where the command is put for everybody's PATH.
LINK = pathlib.Path("/usr/local/bin/boxfleet")

# gRPC's handlers for forks slow the agent's child processes down and serve none of them: all of them exec.
_ENVIRONMENT = {"PYTHONUNBUFFERED": "1", "GRPC_ENABLE_FORK_SUPPORT": "0", "GRPC_VERBOSITY": "ERROR"}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What a preparation changed: services to start anew, and the admin's token when it is new."""

    changed: set[str]
    admin_token: str


def services_of(known: settings.Agent) -> tuple[str, ...]:
    """What runs on this machine; a host that has joined runs an agent only."""
    return _SERVICES if known.serves else ("agent",)


def renew(known: settings.All, *, now: datetime.datetime) -> bool:
    """Renew the server's certificate if its end is near; whether it is new."""
    if not known.serves:
        return False
    return pki.ensure(paths.of(known).pki, names=certificate_names(known), now=now)


def prepare(known: settings.All, *, now: datetime.datetime) -> Prepared:
    """Make or complete everything on disk; harmless when repeated, also after a crash in the middle."""
    where = paths.of(known)
    # Instances' volumes may need to be entered by users without rights, so only what is secret is closed.
    where.state.mkdir(mode=0o755, parents=True, exist_ok=True)
    where.run.mkdir(mode=0o755, parents=True, exist_ok=True)
    found.note(where, link=LINK)
    for folder in (where.store.parent, where.agent, where.logs, where.images):
        paths.make_private(folder)
    # Before the settings, which stand in for it where it is missing.
    fixed.note(known)
    settings.save(known)
    if not known.serves:
        # Its keys and the authority's certificate came with joining.
        return Prepared(changed=write_services(known), admin_token="")
    renewed = renew(known, now=now)
    secret_keys.ensure(where.secret_keys, now=now)
    secret_keys.load(where.secret_keys)
    token_keys.ensure(where.token_keys, now=now)
    token_keys.load(where.token_keys)
    issuers.load(where.authentication)
    issued = credentials.ensure(where, node=known.node, server=access.url_of(known))
    changed = write_services(known)
    if renewed or issued.admin_token:
        changed.add("server")
    return Prepared(changed=changed, admin_token=issued.admin_token)


def certificate_names(known: settings.Server) -> list[str]:
    """Every name and address that clients may call the server by."""
    own = ["localhost", "127.0.0.1", "::1", socket.gethostname().lower(), known.node, *known.names]
    own += gateway.names(known)
    if known.listen not in ("0.0.0.0", "::"):  # noqa: S104
        own.append(known.listen)
    if known.advertise:
        own.append(known.advertise)
    return sorted(set(own))


def write_services(known: settings.All) -> set[str]:
    """Write the service folders; the services whose command line, settings or credentials changed."""
    where = paths.of(known)
    commands = {name: _command(name, known) for name in services_of(known)}
    # The files' fingerprint is part of each service, so that a changed setting or token restarts it, also when the
    # command that changed it was cut off: both are read at the start only.
    files = [where.state / settings.FILE, where.token_hashes, where.authentication, where.joined]
    mark = credentials.digest("".join(file.read_text() for file in files if file.exists()))[:16]
    return supervision.write(where, commands, environment=_ENVIRONMENT | {"BOXFLEET_SETTINGS_MARK": mark})


def supervise_command(known: settings.All) -> list[str]:
    """What an init system runs at boot."""
    return _command("supervise", known)


def _command(name: str, known: settings.All) -> list[str]:
    return [sys.executable, "-m", "boxfleet", name, "--state", known.state, "--run", known.run]


def script() -> pathlib.Path:
    """The command of this installation."""
    return pathlib.Path(sys.executable).with_name("boxfleet")


def link_command() -> None:
    """Put the command into everybody's PATH, unless something else has the name."""
    if not script().exists() or not LINK.parent.is_dir():
        return
    if LINK.is_symlink() or not LINK.exists():
        temporary = LINK.with_name(".boxfleet.new")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(script())
        temporary.replace(LINK)
