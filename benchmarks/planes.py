"""Control planes to measure, each in processes of its own: Boxfleet's, and Kubernetes' with its scheduler.

A plane is up when its API answers; its scheduler begins when it is told to. Boxfleet's has everything that listens to
Pods and nodes: the controllers and the scheduler run in the process of its API, as they do in use.
"""

import asyncio
import contextlib
import dataclasses
import pathlib
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

from benchmarks import serving, wrk

from boxfleet.api import roles
from boxfleet.client import shared
from boxfleet.controllers import manager
from boxfleet.controllers import settings as controller_settings
from boxfleet.kit import clock, collector
from boxfleet.scheduler import scheduler
from boxfleet.scheduler import settings as scheduler_settings
from boxfleet.testing import server
from boxfleet.testing.kubernetes import programs
from boxfleet.testing.kubernetes import server as kubernetes

_NETWORK = "10.96.0.0/14"
_SCHEDULE = b"schedule\n"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """A running control plane."""

    side: serving.Side
    # Has its scheduler begin.
    schedule: Callable[[], None]
    # Whether nodes that are made get a taint that somebody must take away.
    taints: bool

    def peak_mib(self) -> float:
        """The most memory that its processes had, MiB."""
        total = 0
        for pid in self.side.target.processes:
            for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    total += int(line.split()[1])
        return total / 1024


@contextlib.asynccontextmanager
async def boxfleet(folder: pathlib.Path) -> AsyncIterator[Plane]:
    """Boxfleet on SQLite, with its audit log, in a folder."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.planes", str(folder),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdin is not None
        url, ca_file = (await process.stdout.readline()).decode().split()
        target = wrk.Target(url=url, token=server.ADMIN_TOKEN, processes=[process.pid])
        begin = process.stdin
        yield Plane(
            side=serving.Side(target=target, ca_file=pathlib.Path(ca_file)),
            schedule=lambda: begin.write(_SCHEDULE),
            taints=False,
        )
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


@contextlib.contextmanager
def peer(folder: pathlib.Path) -> Iterator[Plane]:
    """kube-apiserver on etcd, and kube-scheduler, which may write as often as it likes."""
    with kubernetes.running(folder) as api, contextlib.ExitStack() as stack:
        processes = wrk.processes_of(folder)

        def schedule() -> None:
            log = stack.enter_context((folder / "kube-scheduler.log").open("wb"))
            arguments = [
                str(programs.path("kube-scheduler")),
                f"--kubeconfig={api.kubeconfig}",
                f"--master={api.url}",
                "--kube-api-qps=5000",
                "--kube-api-burst=5000",
                "--leader-elect=false",
                "--port=0",
                "--secure-port=0",
            ]
            process = stack.enter_context(
                subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)
            )
            stack.callback(process.terminate)
            processes.append(process.pid)

        target = wrk.Target(url=api.url, token=kubernetes.ADMIN_TOKEN, processes=processes)
        yield Plane(side=serving.Side(target=target, ca_file=api.ca_file), schedule=schedule, taints=True)


async def _serve(folder: pathlib.Path) -> None:
    caches_clock = clock.SystemClock()
    begin = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin, begin.set)
    async with (
        server.recording(folder) as audit,
        server.running(folder, audit=audit) as api,
        server.on_socket(api, folder) as socket,
        asyncio.TaskGroup() as group,
    ):
        caches = shared.Caches(api.part(roles.CONTROLLERS), clock=caches_clock)
        controllers = manager.Manager(
            caches,
            clock=caches_clock,
            settings=controller_settings.Settings(pool_cidr=_NETWORK),
            garbage_api=api.part(roles.GARBAGE_COLLECTOR),
            namespace_api=api.part(roles.NAMESPACE_CONTROLLER),
            quota_api=api.part(roles.QUOTA_CONTROLLER),
            tenant_api=api.part(roles.TENANT_CONTROLLER),
            token_api=api.part(roles.TOKEN_CONTROLLER),
            sign=api.accounts.secret_token,
        )
        placing = scheduler.Scheduler(
            caches.speaking(api.part(roles.SCHEDULER)),
            clock=caches_clock,
            settings=scheduler_settings.Settings(),
        )

        async def schedule() -> None:
            await begin.wait()
            loop.remove_reader(sys.stdin)
            await placing.run()

        tasks = [group.create_task(run()) for run in (caches.run, controllers.run, schedule)]
        await caches.synced()
        print(socket.url, socket.ca_file, flush=True)
        # As the server in use does.
        collector.settle()
        stop = asyncio.Event()
        loop.add_signal_handler(15, stop.set)
        await stop.wait()
        for each in tasks:
            each.cancel()


def _main(arguments: Sequence[str]) -> None:
    import uvloop

    uvloop.run(_serve(pathlib.Path(arguments[0])))


if __name__ == "__main__":
    _main(sys.argv[1:])
