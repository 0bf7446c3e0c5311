"""``boxfleet node join``: make this machine a host, and wait until its Node is Ready. `up` starts it again so, too."""

import asyncio
import getpass
import os
import pathlib
import sys
import time
from collections.abc import Callable

from boxfleet.app import further, hosts, lifecycle, manifests, paths, settings
from boxfleet.cli import faults, output


def run(known: settings.All, *, url: str, authority: str, token_file: str) -> int:
    """Join and start."""
    if os.geteuid() != 0:
        raise faults.CommandFailed("join needs root: it makes containers, bridges and mounts. Run it again with sudo")
    other = further.Other(url=url, authority=authority, token=token(token_file), again=hosts.AGAIN)
    try:
        with lifecycle.one_at_a_time(paths.of(known), say=output.say):
            known = asyncio.run(hosts.join(known, other, say=output.say))
            began = begin(known, say=output.say)
        asyncio.run(lifecycle.while_wanted(known, hosts.wait_ready(known, since=began)))
    except (further.JoinError, lifecycle.LifecycleError) as error:
        raise faults.CommandFailed(str(error)) from None
    output.say(f"node {known.node} is ready")
    return 0


def again(known: settings.All, *, say: Callable[[str], None]) -> int:
    """Start a host that has joined before."""
    try:
        with lifecycle.one_at_a_time(paths.of(known), say=say):
            began = begin(known, say=say)
        asyncio.run(lifecycle.while_wanted(known, hosts.wait_ready(known, since=began)))
    except lifecycle.LifecycleError as error:
        raise faults.CommandFailed(str(error)) from None
    say(f"node {known.node} is ready; its server is {known.servers[0]}")
    return 0


def begin(known: settings.All, *, say: Callable[[str], None]) -> float:
    """Have the agent running; from when on its words count."""
    now = time.time()
    started = lifecycle.start(known, say=say)
    return now if started.since is not None else 0.0


def token(file: str) -> str:
    """The token, which is no argument: those are seen by everybody on the machine."""
    if not file:
        return getpass.getpass("Token: ").strip()
    if file == manifests.PIPED:
        return sys.stdin.readline().strip()
    try:
        return pathlib.Path(file).read_text().partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise faults.CommandFailed(f"cannot read {file}: {error}") from None
