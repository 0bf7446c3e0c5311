"""The network's links and their speed."""

import pathlib

from boxfleet.agent.node.found import files


def labels(root: pathlib.Path) -> dict[str, str]:
    """The speed of the fastest link."""
    fastest = mbit(root)
    return {"network.mbit": str(fastest)} if fastest else {}


def mbit(root: pathlib.Path) -> int:
    """Mbit/s of the fastest link that is up, bonds as a whole; 0 when none says: virtual ones seldom do."""
    speeds = [0]
    for one in files.entries(root / "sys/class/net"):
        # Bridges, tunnels and the other ends of instances have neither; they are as fast as what is below.
        if not (one / "device").exists() and not (one / "bonding").exists():
            continue
        speed = files.number(one / "speed")
        if speed is not None and speed > 0 and files.text(one / "operstate") != "down":
            speeds.append(speed)
    return max(speeds)
