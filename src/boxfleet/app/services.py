"""The supervised processes: one entry for each, which loads only what that process needs."""

import argparse
import asyncio
import datetime
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from boxfleet.app import locks, paths, settings, supervision
from boxfleet.kit import collector

if TYPE_CHECKING:
    from boxfleet.app import hub_controllers

# What `boxfleet renew` ends with when it made a new certificate.
RENEWED = 10


def main(arguments: Sequence[str]) -> int:
    """Run one of them until it is told to stop, or `renew`, which only looks after the certificate; the exit code."""
    parser = argparse.ArgumentParser(prog="boxfleet", description="Run by the supervisor.")
    parser.add_argument("service", choices=("server", "agent", "supervise", "renew"))
    parser.add_argument("--state")
    parser.add_argument("--run")
    given = parser.parse_args(arguments)
    flags = {"state": given.state, "run": given.run}
    # `up` wrote down what counts. The environment may be that of an earlier `up`: the supervisor handed it on.
    nothing: dict[str, str] = {}
    try:
        if given.service == "server":
            return _server(settings.load(settings.Server, flags=flags, environ=nothing))
        if given.service == "agent":
            return _agent(settings.load(settings.Agent, flags=flags, environ=nothing))
        known = settings.load(settings.All, flags=flags, environ=nothing)
        return _renew(known) if given.service == "renew" else _supervise(known)
    except (settings.SettingsError, supervision.SupervisionError) as error:
        sys.stderr.write(f"boxfleet {given.service}: {error}\n")
        return 1


def _server(known: settings.Server) -> int:
    from boxfleet.app import logs, server

    logs.set_up("server", level=known.log_level)
    locks.take(paths.of(known).server_lock)
    import uvloop

    return _until_told(lambda stop: server.run(known, stop=stop, settled=collector.settle), loop=uvloop.run)


def _agent(known: settings.Agent) -> int:
    from boxfleet.app import agent, logs

    logs.set_up("agent", level=known.log_level)
    locks.take(paths.of(known).agent_lock)
    # What is there now is modules and types, which stay.
    collector.settle()
    # Not uvloop, whose pipes to child processes raise when the child is quicker, and the agent runs many; it forks with
    # the handlers of gRPC; and tests of streams that end at once fail on it.
    return _until_told(lambda stop: agent.run(known, stop=stop), loop=asyncio.run)


def controllers(home: "hub_controllers.Home", *, log_level: str) -> int:
    """Work for a hub until told to stop; the exit code."""
    from boxfleet.app import hub_controllers, logs

    logs.set_up("controllers", level=log_level)
    import uvloop

    return _until_told(lambda stop: hub_controllers.run(home, stop=stop), loop=uvloop.run)


def _until_told(
    run: Callable[[asyncio.Event], Awaitable[None]], *, loop: Callable[[Coroutine[Any, Any, None]], None]
) -> int:
    """Run until it ends or a signal sets the event, upon which it has to end by itself."""
    import structlog

    async def whole() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await run(stop)

    log = structlog.get_logger()
    log.info("starting", pid=os.getpid())
    try:
        loop(whole())
    except Exception:
        log.exception("ended by a failure")
        return 1
    log.info("stopped")
    return 0


def _renew(known: settings.All) -> int:
    from boxfleet.app import bootstrap

    return RENEWED if bootstrap.renew(known, now=datetime.datetime.now(datetime.UTC)) else 0


def _supervise(known: settings.All) -> int:
    """Become s6-svscan, in the foreground: what an init system starts at boot."""
    from boxfleet.app import bootstrap

    where = paths.of(known)
    bootstrap.renew(known, now=datetime.datetime.now(datetime.UTC))
    bootstrap.write_services(known)
    supervision.end_orphans(where)
    command = supervision.command_line(where)
    os.execvp(command[0], command)  # noqa: S606  # this process becomes the supervisor
