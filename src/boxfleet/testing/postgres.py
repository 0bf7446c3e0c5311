"""A real PostgreSQL for tests: an own cluster in a folder of the test, reached by a Unix socket only."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

# Where Debian puts the programs, newest version last; others have them in PATH.
_DEBIAN = pathlib.Path("/usr/lib/postgresql")
_USER, _GROUP = "nobody", "nogroup"
_PORT = 5432
# Seconds for it to start or end, on a busy machine.
_PATIENCE = 60.0


class Cluster:
    """One database server. `start` and the other verbs return when it is so."""

    def __init__(self, folder: pathlib.Path, *, settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self._data = folder / "data"
        self._settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(folder),
            "port": str(_PORT),
            "max_connections": "50",
            "shared_buffers": "16MB",
            "autovacuum": "off",
        } | dict(settings or {})
        self._process: subprocess.Popen[bytes] | None = None

    def make(self) -> None:
        """Make an empty cluster; the superuser is `boxfleet`, without a password."""
        if os.geteuid() == 0:
            shutil.chown(self.folder, _USER, _GROUP)
        command = [_program("initdb"), "-D", str(self._data), "-U", "boxfleet", "-A", "trust", "-E", "UTF8"]
        command += ["--locale=C", "--no-sync", "--no-instructions"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **_unprivileged(), cwd=self.folder)

    def start(self) -> None:
        """Start it and wait until it answers."""
        flags = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [_program("postgres"), "-D", str(self._data), *flags],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                **_unprivileged(),
            )
        _until(self._answers, f"PostgreSQL in {self.folder} does not start: {self.folder / 'log'} says why")

    def stop(self, *, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT cuts sessions off in order, SIGQUIT is a crash, SIGTERM waits for sessions."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.go_on()
            self._process.send_signal(how)
            self._process.wait(timeout=_PATIENCE)
            self._process = None

    def stand_still(self) -> None:
        """Freeze every process of it, as a machine does that hangs."""
        for pid in self._pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """End the standstill."""
        for pid in self._pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def url(self, database: str = "postgres") -> str:
        """Where a database of it is."""
        return f"postgresql://boxfleet@/{database}?host={self.folder}&port={_PORT}"

    def make_database(self, name: str) -> str:
        """An empty database; its URL."""
        self.sql(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def make_user(self, name: str, *, password: str) -> None:
        """A superuser who is let in by a password only."""
        access = self._data / "pg_hba.conf"
        access.write_text(f"local all {name} scram-sha-256\n" + access.read_text())
        self.sql(f"CREATE ROLE {name} SUPERUSER LOGIN PASSWORD '{password}'")
        self.sql("SELECT pg_reload_conf()")

    def sql(self, statement: str, *, database: str = "postgres") -> str:
        """What psql prints for a statement."""
        command = [_program("psql"), "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-d", self.url(database)]
        return subprocess.run([*command, "-c", statement], check=True, capture_output=True, text=True).stdout.strip()

    def dump_schema(self, database: str) -> str:
        """The schema as pg_dump writes it, without what differs from run to run."""
        command = [_program("pg_dump"), "--schema-only", "--no-owner", "-d", self.url(database)]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return "\n".join(line for line in text.splitlines() if line and not line.startswith(("--", "\\")))

    def _answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise RuntimeError(f"PostgreSQL ended: {(self.folder / 'log').read_text()[-2000:]}")
        command = [_program("pg_isready"), "-q", "-h", str(self.folder), "-p", str(_PORT)]
        return subprocess.run(command).returncode == 0

    def _pids(self) -> list[int]:
        if self._process is None:
            return []
        pid = self._process.pid
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *map(int, children)]


@contextlib.contextmanager
def cluster(folder: pathlib.Path, *, settings: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """A cluster that runs while the block does. The folder's path must be short: it holds a Unix socket."""
    one = Cluster(folder, settings=settings)
    one.make()
    try:
        one.start()
        yield one
    finally:
        one.stop()


def installed() -> bool:
    """Whether this machine has PostgreSQL."""
    try:
        _program("initdb")
    except FileNotFoundError:
        return False
    return True


def _program(name: str) -> str:
    versions = sorted(_DEBIAN.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    found = str(versions[-1]) if versions else shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"there is no {name}: apt-get install postgresql-15")
    return found


def _unprivileged() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    return {"user": _USER, "group": _GROUP, "extra_groups": []} if os.geteuid() == 0 else {}


def _until(is_so: Callable[[], bool], otherwise: str) -> None:
    end = time.monotonic() + _PATIENCE
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError(otherwise)
        time.sleep(0.02)
