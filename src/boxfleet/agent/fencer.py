"""Ends this host's instances when its agent's right to run them has run out; a process of its own.

It needs nothing of the agent or of containerd, which may be what fails. The agent writes until when it may run what, on
the clock that also counts while the machine sleeps; without that file there is nothing to watch over.
Run as a script: `fencer.py FILE PLACE...`, PLACE being a cgroup that instances are below.
"""

import contextlib
import json
import os
import pathlib
import signal
import sys
import time
from typing import Any

# Seconds between looks.
_LOOK = 0.25


def now() -> float:
    """Seconds since the machine's boot."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def victims(places: list[str], kept: list[str]) -> list[int]:
    """Processes below the places, but for those of the containers that are kept."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cgroup"):
        try:
            text = path.read_text()
        except OSError:
            continue
        if any(f"/{place}/" in text for place in places) and not any(each in text for each in kept):
            found.append(int(path.parent.name))
    return found


def step(order: dict[str, Any], places: list[str], *, moment: float) -> signal.Signals | None:
    """End what may not run at that moment; by which signal."""
    late = moment - order["deadline"]
    if late < 0:
        return None
    how = signal.SIGKILL if late >= order["term"] else signal.SIGTERM
    for pid in victims(places, order["kept"]):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, how)
    return how


def main(words: list[str]) -> None:
    """Watch until the file is gone."""
    file, places = pathlib.Path(words[0]), words[1:]
    with contextlib.suppress(OSError):
        # It is late when the machine is busiest.
        os.nice(-15)
    with contextlib.suppress(OSError):
        pathlib.Path("/proc/self/oom_score_adj").write_text("-999")
    order: dict[str, Any] = {}
    asked = 0.0
    while True:
        try:
            order = json.loads(file.read_text())
        except FileNotFoundError:
            return
        except (OSError, ValueError):
            # What was said last holds.
            if not order:
                time.sleep(_LOOK)
                continue
        moment = now()
        # Asked to end once for each end; killed as often as there is something.
        is_due = asked != order["deadline"] or moment >= order["deadline"] + order["term"]
        if is_due and step(order, places, moment=moment) is not None:
            asked = order["deadline"]
        time.sleep(_LOOK)


if __name__ == "__main__":
    main(sys.argv[1:])
