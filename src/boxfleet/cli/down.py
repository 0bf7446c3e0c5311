"""``boxfleet down``: stop everything; with ``--purge``, leave the machine as it was found."""

import asyncio
import importlib.resources
import os

from boxfleet.app import lifecycle, paths, salvage
from boxfleet.cli import faults, output


def run(state: str | None, run_folder: str | None, *, purge: bool) -> int:
    """Stop, and purge if asked to; settings that cannot be read do not keep it from that."""
    if os.geteuid() != 0:
        raise faults.CommandFailed("down needs root: it ends containers and services. Run it again with sudo")
    known, ignored = salvage.load(flags={"state": state, "run": run_folder}, environ=os.environ)
    for words in ignored:
        output.say(f"ignored: {words}")
    where = paths.of(known)
    purged = lifecycle.Purged(packages=[], left=[])
    try:
        with lifecycle.one_at_a_time(where, say=output.say):
            if purge:
                purged = asyncio.run(lifecycle.purge(known, say=output.say))
            elif where.run.exists():
                asyncio.run(lifecycle.stop(known, say=output.say))
    except lifecycle.LifecycleError as error:
        raise faults.CommandFailed(str(error)) from None
    if purged.left:
        if purged.packages:
            output.say(f"packages that ./run installed, and that may go: {' '.join(purged.packages)}")
        raise faults.CommandFailed("not everything could be taken away; this is left:\n  " + "\n  ".join(purged.left))
    output.say("nothing of boxfleet is left on this machine" if purge else "boxfleet is down; its state is kept")
    if purged.packages:
        _remove_packages(purged.packages)
    return 0


def _remove_packages(packages: list[str]) -> None:
    """Become a shell that removes the packages that `./run` installed: Python itself may be among them."""
    script = importlib.resources.files("boxfleet.app").joinpath("remove_packages.sh").read_text()
    os.execv("/bin/sh", ["sh", "-c", script, "boxfleet", *packages])  # noqa: S606  # the last thing this process does
