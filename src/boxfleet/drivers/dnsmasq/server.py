"""A private dnsmasq: answers for the fleet's domain from a file, forwards everything else."""

import asyncio
import dataclasses
import pathlib
import pwd
import signal
import time
from collections.abc import Callable

from boxfleet.drivers.dnsmasq import lookup
from boxfleet.drivers.dnsmasq import records as zone
from boxfleet.kit import backoff, daemon, durable
from boxfleet.ports import network

# Seconds.
_START = 5.0
_STOP = 2.0
_SEEN = 2.0
# dnsmasq hears of a new file by inotify, in a millisecond; where it did not, it is told by a signal.
_INOTIFY = 0.1
_WELL = 60.0
_CHECK_EVERY = 30.0
_PATIENCE = 1.0

_RESTART = backoff.Backoff(initial=0.1, limit=10.0)
# Names outside that are remembered.
_CACHE_SIZE = 2000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the name server keeps its files.

    `folder` survives a restart of the machine, so that names are right before the control plane is. `space` is a
    network namespace's path when this "host" is not the whole machine. `resolv_conf` names the servers for
    everything outside of the domain; dnsmasq skips its own address there, and follows changes.
    """

    folder: pathlib.Path
    pid_file: pathlib.Path
    log_file: pathlib.Path
    space: pathlib.Path | None = None
    port: int = 53
    resolv_conf: pathlib.Path = pathlib.Path("/etc/resolv.conf")


class Server:
    """Implements `ports.network.NameServer`. `told` hears, in words, when it had to be started again."""

    def __init__(self, settings: Settings, *, told: Callable[[str], None]) -> None:
        self.settings = settings
        self._told = told
        self._address = ""
        self._domain = ""
        self._keeper: asyncio.Task[None] | None = None
        # One publication at a time: serial numbers go up.
        self._publishing = asyncio.Lock()

    @property
    def address(self) -> str:
        """Where instances reach it; empty until it is started. While it is down it keeps the address: it comes back."""
        return self._address

    async def start(self, *, address: str, domain: str) -> None:
        """Adopt the one that serves that address and domain, or start it; then keep it running until `stop`."""
        await self._end_keeper()
        self._address, self._domain = address, domain
        self._hosts.parent.mkdir(parents=True, exist_ok=True)
        # dnsmasq reads it as another user.
        self._hosts.parent.chmod(0o755)
        # A file that was made for another domain has not the mark that is asked for, and no name of this one.
        if not self._hosts.exists() or zone.mark_name(domain) not in self._hosts.read_text():
            durable.write(self._hosts, zone.hosts([], domain=domain, serial=0).encode())
        if self._running_arguments() != self._arguments():
            await daemon.stop(self.settings.pid_file, grace=_STOP)
        await self._up()
        self._keeper = asyncio.create_task(self._keep(), name="dnsmasq-keeper")

    async def publish(self, records: frozenset[network.Record]) -> None:
        """Write the file, and wait until dnsmasq answers from it; while it is down, the file alone must do."""
        async with self._publishing:
            before = self._hosts.read_text() if self._hosts.exists() else ""
            serial = zone.serial_of(before, domain=self._domain)
            if before == zone.hosts(records, domain=self._domain, serial=serial):
                return
            serial = (serial + 1) & 0xFFFFFF
            text = zone.hosts(records, domain=self._domain, serial=serial)
            try:
                await asyncio.to_thread(durable.write, self._hosts, text.encode())
            except OSError as error:
                raise network.NetworkFault(f"cannot publish names: {error}") from None
            if daemon.find(self.settings.pid_file) is not None:
                await self._wait_for(serial)

    async def stop(self) -> None:
        """End the server; its file stays."""
        await self._end_keeper()
        await daemon.stop(self.settings.pid_file, grace=_STOP)
        self._address = ""

    async def close(self) -> None:
        """Let go of the server without ending it: another will adopt it."""
        await self._end_keeper()

    @property
    def _hosts(self) -> pathlib.Path:
        return self.settings.folder / "hosts" / "records"

    async def _wait_for(self, serial: int) -> None:
        began = time.monotonic()
        signalled = False
        while time.monotonic() - began < _SEEN:
            if await self._serving(patience=_INOTIFY) == serial:
                return
            if not signalled and time.monotonic() - began > _INOTIFY:
                signalled = True
                daemon.send(self.settings.pid_file, signal.SIGHUP)
            await asyncio.sleep(0.002)
        if daemon.find(self.settings.pid_file) is not None:
            raise network.NetworkFault(
                f"cannot publish names: dnsmasq has not read {self._hosts} after {_SEEN:g} s, see "
                f"{self.settings.log_file}"
            )

    async def _serving(self, *, patience: float) -> int | None:
        """The serial number that dnsmasq answers from; None when it does not answer."""
        found = await lookup.addresses(
            zone.mark_name(self._domain),
            server=self._address,
            port=self.settings.port,
            space=self.settings.space,
            patience=patience,
        )
        return zone.serial_at(found[0]) if found else None

    async def _up(self) -> None:
        pid = daemon.find(self.settings.pid_file)
        if pid is None:
            try:
                pid = await daemon.start(
                    self._arguments(),
                    pid_file=self.settings.pid_file,
                    log_file=self.settings.log_file,
                    network=self.settings.space,
                )
            except daemon.DaemonError as error:
                raise network.NetworkFault(f"{error}; {self._hint()}") from None
        began = time.monotonic()
        while await self._serving(patience=_INOTIFY) is None:
            if daemon.find(self.settings.pid_file) != pid:
                raise network.NetworkFault(
                    f"cannot start dnsmasq on {self._address}:{self.settings.port}: it ended at once, see "
                    f"{self.settings.log_file}; {self._hint()}"
                )
            if time.monotonic() - began > _START:
                raise network.NetworkFault(
                    f"cannot start dnsmasq: no answer on {self._address}:{self.settings.port} after {_START:g} s, see "
                    f"{self.settings.log_file}"
                )
            await asyncio.sleep(0.01)

    def _hint(self) -> str:
        return f"another name server may hold {self._address}:{self.settings.port}"

    async def _keep(self) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            why = await daemon.trouble(self.settings.pid_file, answers=self._answers, every=_CHECK_EVERY)
            failures = 1 if time.monotonic() - began > _WELL else failures + 1
            self._told(f"dnsmasq {why}: starting it again")
            await daemon.kill(self.settings.pid_file)
            if failures > 1:
                await asyncio.sleep(_RESTART.delay(failures=failures - 1))
            try:
                await self._up()
            except network.NetworkFault as fault:
                self._told(str(fault))

    async def _answers(self) -> bool:
        return await self._serving(patience=_PATIENCE) is not None

    async def _end_keeper(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None

    def _arguments(self) -> list[str]:
        return [
            "dnsmasq",
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--pid-file=",
            "--log-facility=-",
            f"--user={self._user()}",
            f"--port={self.settings.port}",
            f"--listen-address={self._address}",
            "--bind-dynamic",
            "--no-hosts",
            f"--hostsdir={self._hosts.parent}",
            f"--local=/{self._domain}/",
            f"--resolv-file={self.settings.resolv_conf}",
            "--dns-loop-detect",
            # A name that was not there a moment ago may be now, outside too: what fails is asked again.
            "--no-negcache",
            f"--cache-size={_CACHE_SIZE}",
        ]

    def _running_arguments(self) -> list[str]:
        pid = daemon.find(self.settings.pid_file)
        if pid is None:
            return []
        try:
            return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
        except OSError:
            return []

    def _user(self) -> str:
        """An unprivileged user who can read the records; root where a parent folder is closed to all others."""
        folder = self._hosts.parent.resolve()
        if all(parent.stat().st_mode & 0o001 for parent in (folder, *folder.parents)):
            for name in ("dnsmasq", "nobody"):
                try:
                    return pwd.getpwnam(name).pw_name
                except KeyError:
                    continue
        return "root"
