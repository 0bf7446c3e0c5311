"""A real kubectl against the API of a bed, with the tunnel that leads to its containers."""

import asyncio
import contextlib
import dataclasses
import os
import pathlib
import pty
import ssl
import subprocess
from collections.abc import AsyncIterator, Sequence

from tests.integration.agent import bed as beds

from boxfleet.agent.streams import tunnel
from boxfleet.api import roles
from boxfleet.client import shared
from boxfleet.controllers import manager
from boxfleet.controllers import settings as controller_settings
from boxfleet.kit import clock
from boxfleet.scheduler import scheduler
from boxfleet.scheduler import settings as scheduler_settings
from boxfleet.testing import server

_SECONDS = 40.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kubectl:
    """kubectl as the administrator."""

    kubeconfig: pathlib.Path
    cache: pathlib.Path

    def command(self, *words: str) -> list[str]:
        """The whole command."""
        return ["kubectl", "--kubeconfig", str(self.kubeconfig), f"--cache-dir={self.cache}", *words]

    async def raw(self, *words: str, stdin: str = "") -> tuple[int, str, str]:
        """Exit code, output and errors."""
        process = await asyncio.create_subprocess_exec(
            *self.command(*words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            async with asyncio.timeout(_SECONDS):
                out, err = await process.communicate(stdin.encode())
        except BaseException:
            process.kill()
            await process.communicate()
            raise
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    async def __call__(self, *words: str, stdin: str = "") -> str:
        """What it says; fails when it does."""
        code, out, err = await self.raw(*words, stdin=stdin)
        assert code == 0, f"kubectl {' '.join(words)} ended with {code}\n{out}\n{err}"
        return out

    async def talk(self, *words: str, steps: Sequence[tuple[str, str]]) -> tuple[int, str]:
        """Exit code and output on a terminal of its own, where each answer is typed once its text has appeared."""
        here, there = pty.openpty()
        os.set_blocking(here, False)
        said, more = bytearray(), asyncio.Event()

        def hear() -> None:
            # The terminal ends with an error when nobody has it open any more.
            with contextlib.suppress(OSError):
                said.extend(os.read(here, 4096))
            more.set()

        loop = asyncio.get_running_loop()
        process = await asyncio.create_subprocess_exec(
            *self.command(*words), stdin=there, stdout=there, stderr=there, start_new_session=True
        )
        loop.add_reader(here, hear)
        try:
            async with asyncio.timeout(_SECONDS):
                for text, answer in steps:
                    while text.encode() not in said:
                        more.clear()
                        await more.wait()
                    os.write(here, answer.encode())
                code = await process.wait()
            hear()
        except TimeoutError:
            raise AssertionError(f"kubectl {' '.join(words)} has said {bytes(said).decode()!r}") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            loop.remove_reader(here)
            os.close(here)
            os.close(there)
        return code, bytes(said).decode()


@contextlib.asynccontextmanager
async def of(bed: beds.Bed) -> AsyncIterator[Kubectl]:
    """kubectl for a bed."""
    async with server.on_socket(bed.api, bed.state) as socket:
        made = tunnel.Tunnel(
            server=socket.url,
            node=server.NODE,
            token=server.NODE_TOKEN,
            tls=ssl.create_default_context(cafile=socket.ca_file),
            engine=bed.host.containerd.runtime,
            log_directory=bed.state / "logs",
        )
        running = asyncio.create_task(made.run())
        try:
            async with asyncio.timeout(_SECONDS):
                while not bed.api.app.agents.nodes():
                    await asyncio.sleep(0.005)
            yield Kubectl(kubeconfig=socket.kubeconfig, cache=bed.state / "cache")
            # With the socket the API stops telling of changes, so nobody would hear of a deletion afterwards.
            await bed.clear()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


@contextlib.asynccontextmanager
async def controlled(bed: beds.Bed) -> AsyncIterator[None]:
    """The controllers and the scheduler beside a bed's API."""
    part, time_ = bed.api.part, clock.SystemClock()
    caches = shared.Caches(part(roles.CONTROLLERS), clock=time_)
    controllers = manager.Manager(
        caches,
        clock=time_,
        settings=controller_settings.Settings(),
        garbage_api=part(roles.GARBAGE_COLLECTOR),
        namespace_api=part(roles.NAMESPACE_CONTROLLER),
        quota_api=part(roles.QUOTA_CONTROLLER),
        tenant_api=part(roles.TENANT_CONTROLLER),
    )
    chooser = scheduler.Scheduler(
        caches.speaking(part(roles.SCHEDULER)), clock=time_, settings=scheduler_settings.Settings()
    )
    running = [asyncio.create_task(each.run()) for each in (caches, controllers, chooser)]
    try:
        yield
    finally:
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)
