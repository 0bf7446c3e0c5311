"""Programs that outlive the one that started them, found again by a pid file.

The pid file holds the process' id and its start time (clock ticks since boot, field 22 of /proc/PID/stat), so
that another process which got the same id later is never taken for it.
"""

import asyncio
import os
import pathlib
import signal
import subprocess
from collections.abc import Awaitable, Callable, Sequence

# Writes "PID START" and becomes the program: neither changes with exec. The stat line's second field is the
# command's name in parentheses and may hold spaces, so counting starts behind it.
_LAUNCHER = """
read -r stat < "/proc/$$/stat"
file=$1
shift
start=$(set -f; set -- ${stat##*) }; shift 19; echo "$1")
echo "$$ $start" > "$file.new" && mv "$file.new" "$file" && exec "$@"
"""


# So many health checks without an answer are a hang.
_SILENT_CHECKS = 3


class DaemonError(Exception):
    """A program could not be started or stopped; the text says what and why."""


def find(pid_file: pathlib.Path) -> int | None:
    """The id of the running process that the file names, else None."""
    try:
        pid, start = pid_file.read_text().split()
        number = int(pid)
    except (OSError, ValueError):
        return None
    return number if _start_time(number) == start else None


async def start(
    arguments: Sequence[str],
    *,
    pid_file: pathlib.Path,
    log_file: pathlib.Path,
    network: pathlib.Path | None = None,
) -> int:
    """Start a program in a session of its own, with its output added to the log file; its process id.

    It is nobody's child but init's, so it needs no reaping and does not end with its starter. `network` is
    the path of a network namespace to run in. Raises DaemonError when it cannot be started.
    """
    pid_file.parent.mkdir(parents=True, exist_ok=True)
    log_file.parent.mkdir(parents=True, exist_ok=True)
    pid_file.unlink(missing_ok=True)
    launch = ["setsid", "--fork", *inside(network), "sh", "-c", _LAUNCHER, "sh", str(pid_file), *arguments]
    with log_file.open("ab") as log:
        starter = await asyncio.create_subprocess_exec(
            *launch, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/"
        )
        if await starter.wait() != 0:
            raise DaemonError(f"cannot start {arguments[0]}: setsid failed, see {log_file}")
    for _ in range(500):
        written = pid_file.exists()
        pid = find(pid_file)
        if pid is not None and _is_itself(pid):
            return pid
        if written and pid is None:
            break
        await asyncio.sleep(0.01)
    raise DaemonError(f"cannot start {arguments[0]}: it ended at once, see {log_file}")


def inside(network: pathlib.Path | None) -> list[str]:
    """The words before a command that make it run in a network namespace.

    nsenter, because `ip netns exec` remounts /sys and hides the cgroups.
    """
    return ["nsenter", f"--net={network}"] if network else []


def send(pid_file: pathlib.Path, number: signal.Signals) -> bool:
    """Signal the process that the file names; False when there is none."""
    pid = find(pid_file)
    if pid is None:
        return False
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        # Asked again with the descriptor held: from here on the id cannot be another's.
        if find(pid_file) != pid:
            return False
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


async def ended(pid: int) -> None:
    """Return when that process has ended; at once when there is none. It need not be a child."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    loop.add_reader(descriptor, over.set)
    try:
        await over.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


async def trouble(pid_file: pathlib.Path, *, answers: Callable[[], Awaitable[bool]], every: float) -> str:
    """Return why a program must be started again, in words that go after its name, as soon as it must.

    It is asked for an answer every so many seconds, and taken to hang when it gives none several times in a row.
    """
    pid = find(pid_file)
    if pid is None:
        return "does not run"
    end = asyncio.create_task(ended(pid))
    try:
        silent = 0
        while silent < _SILENT_CHECKS:
            await asyncio.wait({end}, timeout=every)
            if end.done():
                return "died"
            silent = 0 if await answers() else silent + 1
        return f"gave no answer {_SILENT_CHECKS} times"
    finally:
        end.cancel()
        await asyncio.gather(end, return_exceptions=True)


async def kill(pid_file: pathlib.Path) -> None:
    """SIGKILL, and return when it has ended. Harmless when nothing runs."""
    pid = find(pid_file)
    if pid is not None:
        send(pid_file, signal.SIGKILL)
        await ended(pid)


async def stop(pid_file: pathlib.Path, *, grace: float) -> None:
    """SIGTERM, then SIGKILL after `grace` seconds; removes the pid file. Harmless when nothing runs."""
    pid = find(pid_file)
    if pid is not None:
        send(pid_file, signal.SIGTERM)
        try:
            await asyncio.wait_for(ended(pid), grace)
        except TimeoutError:
            await kill(pid_file)
    pid_file.unlink(missing_ok=True)


def _is_itself(pid: int) -> bool:
    """Whether the program runs, and no longer the launcher that becomes it: only then is it known that it can."""
    try:
        return _LAUNCHER.encode() not in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _start_time(pid: int) -> str | None:
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(") ")[2].split()
    # A zombie has ended, whoever has yet to collect it.
    return None if fields[0] == "Z" else fields[19]
