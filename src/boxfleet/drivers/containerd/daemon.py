"""A private containerd: started detached, found again, looked after, taken away.

It does not end with the one that started it, and containers do not end with it: their shims live on, and the next
containerd takes them over.
"""

import asyncio
import collections
import functools
import os
import time
from collections.abc import Callable

from boxfleet.drivers.containerd import config, connection, images, orphans, pause, purge, runtime
from boxfleet.kit import backoff, daemon
from boxfleet.ports import runtime as port

# Seconds.
_START = 30.0
_STOP = 20.0
_CHECK_EVERY = 10.0
_CHECK_PATIENCE = 5.0
_WELL = 60.0
# Restarts whose moment is remembered.
_REMEMBERED = 50
# Bytes. Without room a new containerd cannot write down what it finds, and takes what runs for lost.
_ROOM = 16 * 2**20
# Bytes of log that are kept when it starts; twice this is the most on disk.
_LOG_LIMIT = 10 * 2**20

_RESTART = backoff.Backoff(initial=0.1, limit=30.0)


class Daemon:
    """One containerd. `told` hears, in words, when it had to be started again."""

    def __init__(self, settings: config.Settings, *, told: Callable[[str], None]) -> None:
        self.settings = settings
        self.connection = connection.Connection(settings.socket)
        self._told = told
        # Whether it came up with all that it needs; what happens to it later is for `supervise` to find out.
        self._complete = False
        # When it had to be started again, the last of many (time.monotonic).
        self.restarts: collections.deque[float] = collections.deque(maxlen=_REMEMBERED)

    @functools.cached_property
    def facts(self) -> config.HostFacts:
        """What this host can do; looked at when it is first needed, since the look makes a folder and a mount."""
        return config.detect(root=self.settings.root)

    @functools.cached_property
    def runtime(self) -> runtime.Runtime:
        """Its sandboxes and containers."""
        return runtime.Runtime(self.connection, systemd_cgroups=self.facts.systemd_cgroups)

    @functools.cached_property
    def images(self) -> images.Images:
        """Its images."""
        return images.Images(
            self.connection,
            socket=self.settings.socket,
            snapshotter=self.facts.snapshotter,
            pinned=frozenset({self.settings.sandbox_image}),
        )

    @property
    def pid(self) -> int | None:
        """Its process id; None while it does not run."""
        return daemon.find(self.settings.pid_file)

    async def start(self) -> None:
        """Adopt the one that runs or start one; returns when it answers and has the sandbox image.

        One that runs with another configuration is started anew. Raises `ports.runtime.Unavailable` when it does
        not come up; the message says why or names the log.
        """
        self._complete = False
        await self._up()
        await pause.ensure(self.images, name=self.settings.sandbox_image)
        self._complete = True

    async def supervise(self) -> None:
        """Start it again whenever it does not run, dies or hangs; endless."""
        failures = 0
        while True:
            began = time.monotonic()
            if self._complete:
                why = await daemon.trouble(self.settings.pid_file, answers=self._answers, every=_CHECK_EVERY)
                self._told(f"containerd {why}: starting it again")
                self.restarts.append(time.monotonic())
                await daemon.kill(self.settings.pid_file)
            elif not await self._answers():
                await daemon.kill(self.settings.pid_file)
            failures = 1 if time.monotonic() - began > _WELL else failures + 1
            if failures > 1:
                await asyncio.sleep(_RESTART.delay(failures=failures - 1))
            try:
                await self.start()
            except port.RuntimeFault as error:
                self._told(str(error))

    async def stop(self) -> None:
        """End it; containers run on."""
        await self.connection.close()
        await daemon.stop(self.settings.pid_file, grace=_STOP)

    async def close(self) -> None:
        """Let go of it without ending it."""
        await self.connection.close()

    async def purge(self) -> None:
        """End every container and take away everything that it and they left on the host."""
        if self.settings.root.joinpath("io.containerd.metadata.v1.bolt").exists():
            try:
                await self._up()
                await purge.remove_sandboxes(self.runtime)
            except port.RuntimeFault as error:
                self._told(f"{error}; taking its containers away by force")
        await self.stop()
        await purge.sweep(self.settings)

    async def _up(self) -> None:
        wanted = config.render(self.settings, self.facts)
        file = self.settings.config_file
        if not file.exists() or file.read_text() != wanted:
            await daemon.stop(self.settings.pid_file, grace=_STOP)
            for folder in (file.parent, self.settings.registries, self.settings.cni_conf, self.settings.cni_bin):
                folder.mkdir(parents=True, exist_ok=True)
            new = file.with_suffix(".new")
            new.write_text(wanted)
            new.rename(file)
        pid = self.pid
        if pid is None:
            self.settings.root.mkdir(parents=True, exist_ok=True)
            disk = os.statvfs(self.settings.root)
            if disk.f_bfree * disk.f_frsize < _ROOM:
                raise port.Unavailable(
                    f"cannot start containerd: less than {_ROOM >> 20} MiB are free on the disk of "
                    f"{self.settings.root}; make room. What runs goes on meanwhile"
                )
            self._rotate_log()
            await asyncio.to_thread(orphans.note, self.settings)
            try:
                pid = await daemon.start(
                    ["containerd", "--config", str(file)],
                    pid_file=self.settings.pid_file,
                    log_file=self.settings.log_file,
                    network=self.settings.network,
                )
            except daemon.DaemonError as error:
                raise port.Unavailable(str(error)) from None
        deadline = time.monotonic() + _START
        while not await self._answers():
            if self.pid != pid:
                raise port.Unavailable(f"cannot start containerd: it ended at once, see {self.settings.log_file}")
            if time.monotonic() > deadline:
                raise port.Unavailable(
                    f"cannot start containerd: no answer after {_START:g} s, see {self.settings.log_file}"
                )
            await asyncio.sleep(0.02)
        lost = await orphans.end(self.settings, self.runtime)
        if lost:
            self._told(f"ended what the last containerd left half made: {', '.join(lost)}")

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(_CHECK_PATIENCE):
                await self.runtime.version()
        except (port.RuntimeFault, TimeoutError):
            # Also while it starts: CRI is "unimplemented" until its plug-in is loaded.
            return False
        return True

    def _rotate_log(self) -> None:
        log = self.settings.log_file
        if log.exists() and log.stat().st_size > _LOG_LIMIT:
            log.replace(log.with_suffix(".log.1"))
