"""Starting and stopping a whole Boxfleet on this machine, so that any step may be cut off and done again."""

import asyncio
import contextlib
import dataclasses
import datetime
import fcntl
import os
import pathlib
import re
import subprocess
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

from boxfleet.api import namespace, node
from boxfleet.app import (
    access,
    bootstrap,
    control,
    doctor,
    fixed,
    found,
    further,
    locks,
    owning,
    paths,
    settings,
    stopping,
    supervision,
    systemd,
)
from boxfleet.client import client as clients
from boxfleet.client import errors
from boxfleet.kit import clock

Say = Callable[[str], None]
T = TypeVar("T")

# Seconds for the API to answer, and for this machine's node to be Ready.
_API = 60.0
_NODE = 90.0
# Seconds between looks at whether the services are still wanted.
_WANTED = 0.5
# Seconds that an instance gets to stop when everything of it is removed afterwards.
_PURGE_GRACE = 5


class LifecycleError(Exception):
    """Boxfleet cannot be started or stopped; the text says why and what to do."""


async def while_wanted(known: settings.All, work: Coroutine[Any, Any, T]) -> T:
    """The result of what relies on a running Boxfleet. Raises LifecycleError as soon as somebody stops that."""
    where, wanted = paths.of(known), bootstrap.services_of(known)
    working = asyncio.create_task(work)
    watching = asyncio.create_task(_unwanted(where, wanted))
    try:
        await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
        if working.done() and (working.exception() is None or not await asyncio.to_thread(_not_wanted, where, wanted)):
            return working.result()
        raise LifecycleError(
            "Boxfleet is being stopped, or was, by another command (boxfleet down, or s6-svc): nothing is waited for "
            "any more. To start it again: boxfleet up"
        )
    finally:
        working.cancel()
        watching.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


async def _unwanted(where: paths.Paths, wanted: tuple[str, ...]) -> None:
    while True:
        if await asyncio.to_thread(_not_wanted, where, wanted):
            return
        await asyncio.sleep(_WANTED)


def _not_wanted(where: paths.Paths, wanted: tuple[str, ...]) -> bool:
    """Whether a service is told to be down, or gone with the whole folder."""
    return {each.name for each in supervision.states(where) if each.wanted} < set(wanted)


@contextlib.contextmanager
def one_at_a_time(where: paths.Paths, *, say: Say) -> Iterator[None]:
    """Keep two commands that start or stop from crossing each other."""
    # Beside the state folder, which a purge removes.
    lock = where.state.with_name(f".{where.state.name}.lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    handle = _locked(lock, say=say)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(handle)


def _locked(lock: pathlib.Path, *, say: Say) -> int:
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another boxfleet command to end")
            fcntl.flock(handle, fcntl.LOCK_EX)
        # The one before takes its file away at the end: a lock on that keeps out nobody who comes later.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), lock.stat()):
                return handle
        os.close(handle)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """What a start did: the admin's token if it is new, and since when what runs is new (None: it ran before)."""

    admin_token: str
    since: datetime.datetime | None


def start(known: settings.All, *, say: Say) -> Started:
    """Have everything running. Raises LifecycleError and owning.NotOursError."""
    where = paths.of(known)
    owning.check_run(where)
    owning.check_new(where)
    if words := further.unfinished(where):
        raise LifecycleError(words)
    if wrong := fixed.faults(known):
        raise LifecycleError("this Boxfleet has been started before:\n  " + "\n  ".join(wrong))
    _refuse(known)
    now = datetime.datetime.now(datetime.UTC)
    prepared = bootstrap.prepare(known, now=now)
    running = {state.name for state in supervision.states(where) if state.up}
    if not supervision.is_running(where):
        supervision.end_orphans(where)
        for lock in (where.server_lock, where.agent_lock):
            # Left by a supervisor that was killed.
            _end(lock)
        say(f"starting boxfleet on {access.url_of(known)}" if known.serves else f"starting the agent of {known.node}")
        if systemd.is_booted():
            try:
                systemd.start(where, bootstrap.supervise_command(known))
            except subprocess.CalledProcessError as error:
                raise LifecycleError(f"systemd cannot start boxfleet: {error.stderr.decode().strip()}") from None
        else:
            supervision.start(where)
    else:
        supervision.start(where)
    for name in bootstrap.services_of(known):
        if name in prepared.changed and name in running:
            say(f"restarting the {name}: its settings changed")
        supervision.bring_up(where, name, restart=name in prepared.changed and name in running)
    if owning.is_default(known):
        # Others beside the usual one are for those who know where they are.
        bootstrap.link_command()
    fresh = "agent" in prepared.changed or "agent" not in running
    return Started(admin_token=prepared.admin_token, since=now if fresh else None)


def _refuse(known: settings.All) -> None:
    """Do not begin on a machine that cannot do it."""
    machine = doctor.Machine(known)
    findings = doctor.check_root(machine)
    findings += doctor.check_kernel(machine) + doctor.check_cgroups(machine) + doctor.check_programs(machine)
    # Also while it runs: what is wished may be new.
    findings += doctor.check_settings(machine)
    if known.serves:
        findings += doctor.check_ports(machine)
    if not supervision.is_running(paths.of(known)):
        findings += doctor.check_network(machine) + doctor.check_disk(machine)
    bad = [f"{each.name}: {each.detail}\n    -> {each.remedy}" for each in findings if each.grade is doctor.Grade.BAD]
    if bad:
        raise LifecycleError("this machine cannot run Boxfleet:\n  " + "\n  ".join(bad))


def running_since(known: settings.All) -> datetime.datetime:
    """The moment before which no instance of now can have started: the last `down`, or the machine's boot."""
    boot = re.search(r"^btime (\d+)", pathlib.Path("/proc/stat").read_text(), re.MULTILINE)
    moments = [float(boot[1]) if boot else 0.0]
    with contextlib.suppress(FileNotFoundError):
        moments.append(paths.of(known).stopped.stat().st_mtime)
    return datetime.datetime.fromtimestamp(max(moments), datetime.UTC)


async def wait_ready(known: settings.All, api: clients.Client, *, since: datetime.datetime | None, say: Say) -> None:
    """Return when the API answers and this machine's node is Ready, by what its agent said after `since`.

    Raises LifecycleError when it takes too long.
    """
    where = paths.of(known)
    await wait_serving(known, api)
    end = time.monotonic() + _NODE
    told = False
    while True:
        found_node = None
        # The server may be on its way from one process to the next.
        with contextlib.suppress(errors.Unavailable):
            found_node = await api.find(node.Node, known.node)
            if found_node is None and since is None:
                say(f"restarting the agent: node {known.node} was deleted, and comes back with its agent's start only")
                since = datetime.datetime.now(datetime.UTC)
                await asyncio.to_thread(supervision.bring_up, where, "agent", restart=True)
        if found_node is not None and _is_ready(found_node, since):
            return
        if time.monotonic() > end:
            why = "it has not registered" if found_node is None else _why(found_node)
            raise LifecycleError(f"node {known.node} is not ready: {why}; its log: {where.logs / 'agent' / 'current'}")
        if not told:
            say(f"waiting for node {known.node}")
            told = True
        await asyncio.sleep(0.1)


async def wait_serving(known: settings.All, api: clients.Client) -> None:
    """Return when the API answers; raises LifecycleError when it takes too long."""
    end = time.monotonic() + _API
    while True:
        try:
            await api.get(namespace.Namespace, "default")
            await control.complete(known, api)
            return
        except errors.ApiError as error:
            if time.monotonic() > end:
                log = paths.of(known).logs / "server" / "current"
                raise LifecycleError(f"the API does not answer: {error.message}; its log: {log}") from None
        await asyncio.sleep(0.05)


def _is_ready(subject: node.Node, since: datetime.datetime | None) -> bool:
    for each in subject.status.conditions:
        if each.type == "Ready" and each.status == "True":
            # What an earlier agent said is not about this one; stamps have whole seconds.
            said = clock.parse(each.lastHeartbeatTime) if each.lastHeartbeatTime else None
            return since is None or (said is not None and said >= since.replace(microsecond=0))
    return False


def _why(subject: node.Node) -> str:
    words = [each.message or each.reason for each in subject.status.conditions if each.type == "Ready"]
    return words[0] if words else "it has not said how it is"


async def stop(known: settings.All, *, say: Say, patience: int | None = None) -> None:
    """Stop the services, then every instance in order, then the engines. State stays.

    `patience` bounds every instance's grace, in seconds. Raises owning.NotOursError before anything is changed.
    """
    where = paths.of(known)
    owning.check(where)
    waves = await stopping.plan(known)
    if patience is not None:
        waves = [{uid: min(grace, patience) for uid, grace in wave.items()} for wave in waves]
    say("stopping the agent and the server")
    supervision.bring_down(where, "agent")
    _end(where.agent_lock)
    supervision.bring_down(where, "server")
    _end(where.server_lock)
    await stopping.stop_instances(known, waves, say=say)
    if owning.is_state(where.state):
        where.stopped.touch()
    supervision.stop(where)
    systemd.forget(where, remove=False)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Purged:
    """What a purge left: Debian packages that may go now, and in words what it could not take away."""

    packages: list[str]
    left: list[str]


async def purge(known: settings.All, *, say: Say) -> Purged:
    """Stop everything and leave the machine as it was found.

    Raises owning.NotOursError before anything is changed when a folder is not this Boxfleet's.
    """
    where = paths.of(known)
    lost = owning.is_lost(where)
    # Their data goes, so nobody waits long for its last writes.
    await stop(known, say=say, patience=_PURGE_GRACE)
    if lost:
        say(f"there is nothing in {where.state}: what Boxfleet made on this machine is known by its names only")
    say("taking away what Boxfleet made on this machine")
    left = await stopping.remove_traces(known, lost=lost, say=say)
    if lost:
        for moved in owning.unmount_moved(where):
            say(f"its state was moved to {moved}, and stays there")
    systemd.forget(where, remove=True)
    seen = found.load(where)
    if seen is None and owning.is_default(known):
        seen = found.unknown()
    if seen is not None:
        found.bring_back(seen, link=bootstrap.LINK, ours=bootstrap.script())
    if lost and owning.is_default(known) and bootstrap.LINK.is_symlink():
        left.append(f"the link {bootstrap.LINK}, which leads to another installation: {bootstrap.LINK.readlink()}")
    packages = where.packages.read_text().split() if where.packages.exists() else []
    for path in owning.remove(where):
        say(f"{path} is not of Boxfleet, and stays")
    return Purged(packages=packages, left=left)


def _end(lock: pathlib.Path) -> None:
    """End a service's process that no supervisor knows of."""
    if locks.holder(lock):
        os.close(locks.take(lock))
