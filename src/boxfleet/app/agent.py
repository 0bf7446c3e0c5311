"""The agent process: this host's engines, the agent and its tunnel."""

import asyncio
import pathlib
import ssl
import urllib.parse
from collections.abc import Coroutine, Sequence
from typing import Any

import structlog

import boxfleet
from boxfleet.agent import agent as agents
from boxfleet.agent import directory
from boxfleet.agent import settings as agent_settings
from boxfleet.agent.streams import tunnels
from boxfleet.app import access, gateway, host, joining, paths, settings
from boxfleet.client import servers
from boxfleet.kit import clock as clocks
from boxfleet.kit import quantity, supervise
from boxfleet.ports import runtime

log = structlog.get_logger()

# Seconds for a machine to say that nobody listens there.
_REFUSAL = 1.0


async def run(known: settings.Agent, *, stop: asyncio.Event) -> None:
    """Work until told to stop; instances, containerd and dnsmasq run on."""
    where = paths.of(known)
    clock = clocks.SystemClock()
    given = agent_config(known)
    engines = host.wire(known, told=lambda words: log.warning(words))
    memory = where.agent / "servers.json"
    through = servers.Servers(known.servers or [access.url_of(known)], announced=directory.remembered(memory))
    member = joining.Joining(known, through=through, clock=clock)
    await _unless_stopped(member.ensure(), stop)
    if stop.is_set():
        return
    api = member.api()
    work = agents.Agent(
        given,
        api=api,
        engine=engines.engine.runtime,
        images=engines.engine.images,
        network=engines.network,
        names=engines.names,
        clock=clock,
        version=boxfleet.__version__,
        restarts=lambda: engines.engine.restarts,
        nobody=lambda: nobody_listens(through.urls),
    )
    tls = ssl.create_default_context(cafile=str(where.ca_certificate))
    tls.load_cert_chain(member.pair)
    streams = tunnels.Tunnels(
        through,
        node=known.node,
        token="",
        tls=tls,
        engine=engines.engine.runtime,
        log_directory=pathlib.Path(given.logs),
    )

    async def engine_and_agent() -> None:
        try:
            await engines.engine.start()
            log.info("containerd answers", process=engines.engine.pid)
        except runtime.RuntimeFault as error:
            # It is tried again beside the agent, which tells of it on the Node.
            log.warning("containerd does not answer", cause=str(error))
        async with asyncio.TaskGroup() as group:
            group.create_task(engines.engine.supervise(), name="containerd")
            group.create_task(work.run(), name="agent")

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(supervise.keep_running(name, loop, clock=clock), name=name)
                for name, loop in {
                    "host": engine_and_agent,
                    "tunnels": streams.run,
                    "servers": directory.Directory(api, through, file=memory).run,
                }.items()
            ]
            tasks.append(group.create_task(member.keep(stop, leave=work.leave), name="certificate"))
            await stop.wait()
            log.info("stopping")
            for task in tasks:
                task.cancel()
    finally:
        await engines.names.close()
        await engines.engine.close()
        await api.close()


async def nobody_listens(urls: Sequence[str]) -> bool:
    """Whether the only server there is has no process: its machine says so itself.

    Of several servers one may be out of reach and at work, so nothing is sure.
    """
    if len(urls) != 1:
        return False
    parts = urllib.parse.urlsplit(urls[0])
    try:
        async with asyncio.timeout(_REFUSAL):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port or 443)
    except ConnectionRefusedError:
        return True
    except (OSError, TimeoutError):
        return False
    writer.close()
    return False


async def _unless_stopped(work: Coroutine[Any, Any, None], stop: asyncio.Event) -> None:
    """Work until it is done or the event is set."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        working.cancel()
        stopping.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)


def agent_config(known: settings.Agent) -> agent_settings.Settings:
    """The agent's settings from the host's."""
    where = paths.of(known)
    folder = where.agent
    return agent_settings.Settings(
        node=known.node,
        state=str(folder),
        logs=str(folder / "logs"),
        api_host=gateway.host_for_instances(known),
        api_port=gateway.port_for_instances(known),
        gateway=known.serves and not paths.of(known).joined.exists(),
        fence=known.run,
        domain=known.domain,
        cgroup_parent=known.cgroup_parent,
        reserved_cpu=quantity.milli(known.reserved_cpu) if known.reserved_cpu else None,
        reserved_memory=quantity.whole(known.reserved_memory) if known.reserved_memory else None,
        memory_pressure=known.memory_pressure,
        disk_pressure=known.disk_pressure,
        facts_scripts=known.facts_scripts or str(where.facts_scripts),
        # Not while the instances of a start are on their way.
        measure_disk=60.0 if known.measure_disk else None,
        resources={
            name: quantity.canonical(amount) for name, _, amount in (one.partition("=") for one in known.resources)
        },
    )
