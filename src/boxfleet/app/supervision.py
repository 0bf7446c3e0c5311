"""Services under s6: each a folder in RUN/services that s6-svscan watches, restarts and logs.

s6 (Debian's) needs no more than the folders: `run` is executed again whenever it ends, `log/run` gets what it prints.
Both are links to scripts in STATE, since programs on /run may not be executed on most machines (systemd's `noexec`).
"""

import contextlib
import dataclasses
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence

from boxfleet.app import paths, systemd
from boxfleet.kit import durable

# What s6-log keeps of each service: ten files of about a megabyte.
LOG_SCRIPT = ("-b", "n10", "s1000000")
# A service that needs longer than this to stop is killed, in milliseconds.
STOP_MILLISECONDS = 20_000
# Seconds for s6 to be there: systemd starts it by way of our own command, which a small machine loads slowly.
_START = 60.0
# As many ends, unless somebody asked for them, within so many seconds are a crash loop.
_DEATHS = 3
_SETTLED = 60
_ASKED_FOR = (["exitcode", "0"], ["signal", "SIGTERM"], ["signal", "15"])


class SupervisionError(Exception):
    """Services cannot be started or stopped."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServiceState:
    """One service as s6 sees it; `seconds` since it came up or went down. Not `wanted`: s6 is told to keep it down.

    `crashing`: it ends by itself again and again. Not `supervised`: s6 does not look after it.
    """

    name: str
    up: bool
    wanted: bool = True
    pid: int = 0
    seconds: int = 0
    crashing: bool = False
    supervised: bool = True


def write(where: paths.Paths, services: Mapping[str, Sequence[str]], *, environment: Mapping[str, str]) -> set[str]:
    """Write the service folders for these command lines; the names of those that changed."""
    changed = set()
    where.services.mkdir(parents=True, exist_ok=True)
    where.run.chmod(0o755)
    settings = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(environment.items()))
    for name, command in services.items():
        logs = where.logs / name
        logs.mkdir(parents=True, exist_ok=True)
        log_command = shlex.join(["s6-log", *LOG_SCRIPT, str(logs)])
        # The log's folder first: s6 looks for it only when it first sees the service.
        log_script = where.scripts / f"{name}-log"
        changed_log = _write(log_script, f"#!/bin/sh\nexec {log_command}\n", mode=0o755)
        _link(where.services / name / "log" / "run", log_script)
        _write(where.services / name / "timeout-kill", f"{STOP_MILLISECONDS}\n", mode=0o644)
        script = f"#!/bin/sh\nexec 2>&1 </dev/null\n{settings}exec {shlex.join(command)}\n"
        changed_script = _write(where.scripts / name, script, mode=0o755)
        _link(where.services / name / "run", where.scripts / name)
        if changed_script or changed_log:
            changed.add(name)
    return changed


def _link(link: pathlib.Path, target: pathlib.Path) -> None:
    if link.is_symlink() and link.readlink() == target:
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    new = link.with_suffix(".new")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(link)


def _write(path: pathlib.Path, text: str, *, mode: int) -> bool:
    try:
        if path.read_text() == text:
            return False
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    durable.write(path, text.encode(), mode=mode)
    return True


def command_line(where: paths.Paths) -> list[str]:
    """What runs the services, in the foreground."""
    return ["s6-svscan", "-t", "5000", str(where.services)]


def is_running(where: paths.Paths) -> bool:
    """Whether an s6-svscan watches the folder."""
    if not (where.services / ".s6-svscan" / "control").exists():
        return False
    return _run("s6-svscanctl", "-a", str(where.services)) == 0


def start(where: paths.Paths) -> None:
    """Start s6-svscan, detached from whoever calls, unless it runs already. Raises SupervisionError."""
    if is_running(where):
        _run("s6-svscanctl", "-an", str(where.services))
        return
    end_orphans(where)
    log = where.logs / "svscan.log"
    with log.open("ab") as sink:
        subprocess.Popen(
            command_line(where),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
            cwd="/",
            close_fds=True,
        )
    if not _wait(lambda: is_running(where), seconds=_START):
        raise SupervisionError(f"cannot start s6-svscan: it does not answer after {_START:g} s; its words are in {log}")


def is_supervised(where: paths.Paths, name: str) -> bool:
    """Whether an s6-supervise looks after the service, under an s6-svscan or left behind by one."""
    return _run("s6-svok", str(where.services / name)) == 0


def wait_supervised(where: paths.Paths, name: str) -> None:
    """Return when s6 looks after the service; raises SupervisionError after a minute."""
    if not _wait(lambda: is_supervised(where, name), seconds=_START):
        see = f"journalctl -u {systemd.unit_name(where)}" if systemd.is_booted() else where.logs / "svscan.log"
        raise SupervisionError(f"s6 does not take up the service {name} within {_START:g} s: see {see}")


def bring_up(where: paths.Paths, name: str, *, restart: bool = False) -> None:
    """Have a service running; with `restart`, anew."""
    wait_supervised(where, name)
    folder = str(where.services / name)
    if restart:
        # Returns when the new process is there, so that nobody takes the old one's word for the new one's.
        _run("s6-svc", "-ru", "-wr", "-T", str(STOP_MILLISECONDS + 5000), folder)
    else:
        _run("s6-svc", "-u", folder)


def bring_down(where: paths.Paths, name: str) -> None:
    """Stop a service and return when it has stopped; harmless when it does not run."""
    folder = where.services / name
    if folder.exists() and _run("s6-svok", str(folder)) == 0:
        _run("s6-svc", "-d", "-wD", "-T", str(STOP_MILLISECONDS + 5000), str(folder))


def states(where: paths.Paths) -> list[ServiceState]:
    """Every service that has a folder."""
    found = []
    for folder in sorted(where.services.glob("[!.]*/")):
        answer = subprocess.run(
            ["s6-svstat", "-o", "up,wantedup,pid,updownfor", str(folder)], capture_output=True, text=True, check=False
        )
        words = answer.stdout.split()
        if answer.returncode == 0 and len(words) == 4:
            up, wanted = (word == "true" for word in words[:2])
            pid, seconds = (max(int(word), 0) for word in words[2:])
            crashing = wanted and seconds < _SETTLED and _is_crashing(folder)
            found.append(
                ServiceState(name=folder.name, up=up, wanted=wanted, pid=pid, seconds=seconds, crashing=crashing)
            )
        else:
            found.append(ServiceState(name=folder.name, up=False, supervised=False))
    return found


def _is_crashing(folder: pathlib.Path) -> bool:
    """Whether its last ends came quickly one after the other, and nobody asked for them."""
    answer = subprocess.run(["s6-svdt", "-n", str(_DEATHS), str(folder)], capture_output=True, text=True, check=False)
    ends = [line.split() for line in answer.stdout.splitlines()]
    if len(ends) < _DEATHS or any(len(each) != 3 or each[1:] in _ASKED_FOR for each in ends):
        return False
    # TAI64N: the first 16 digits are seconds.
    times = [int(stamp[1:17], 16) for stamp, *_ in ends]
    return max(times) - min(times) < _SETTLED


def stop(where: paths.Paths) -> None:
    """Stop all services, their logs and s6-svscan itself, also what is left of ones that were killed."""
    if not where.services.exists():
        return
    for folder in sorted(where.services.glob("[!.]*/")):
        bring_down(where, folder.name)
    if is_running(where):
        _run("s6-svscanctl", "-t", str(where.services))
    _end_supervisors(where)
    shutil.rmtree(where.services, ignore_errors=True)


def end_orphans(where: paths.Paths) -> None:
    """End supervisors that outlived a killed s6-svscan, and their services: a new one cannot take them over."""
    if not is_running(where) and _supervisors(where):
        _end_supervisors(where)


def _end_supervisors(where: paths.Paths) -> None:
    # Those without an s6-svscan are told one by one.
    for folder in [*where.services.glob("[!.]*/"), *where.services.glob("[!.]*/log/")]:
        if _run("s6-svok", str(folder)) == 0:
            _run("s6-svc", "-xd", str(folder))
    ended = _wait(lambda: not is_running(where) and not _supervisors(where), seconds=STOP_MILLISECONDS / 1000 + 5)
    if not ended:
        for pid in _supervisors(where):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _supervisors(where: paths.Paths) -> list[int]:
    """Processes that s6 runs for these folders: their working directory or argument lies there."""
    found = []
    root = str(where.services)
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            folder = str((entry / "cwd").readlink())
        except OSError:
            continue
        program = pathlib.Path(words[0]).name
        if (program == "s6-svscan" and root in words) or (
            program in ("s6-supervise", "s6-log") and (folder == root or folder.startswith(root + "/"))
        ):
            found.append(int(entry.name))
    return found


def _run(*command: str) -> int:
    try:
        return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode
    except FileNotFoundError:
        raise SupervisionError(f"there is no {command[0]} on this machine: apt-get install s6") from None


def _wait(holds: Callable[[], bool], *, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
