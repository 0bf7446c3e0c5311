"""Settings that the first start fixes: objects and instances are built on them, so a later wish cannot take effect."""

import pathlib
from typing import Any

import yaml

from boxfleet.app import paths, settings, supervision
from boxfleet.kit import durable

_ANEW = "or begin anew, which loses all data: boxfleet down --purge"
_NAMES = f"every address's domain name ends with it; leave it, {_ANEW}"
# Each with what to do for who wants another value.
REMEDIES = {
    "node": f"instances and their volumes belong to the node by its name; leave it, {_ANEW}",
    "domain": _NAMES,
    "cidr": f"addresses are kept for good; leave it, and make another AddressPool for more of them, {_ANEW}",
    "bridge": f"instances hang on it; leave it, {_ANEW}",
    "store": "the objects are there; bring them along by boxfleet down and boxfleet store move, " + _ANEW,
    "cgroup_parent": f"instances live below it; leave it, {_ANEW}",
}


def note(known: settings.All) -> None:
    """Write down what this start fixes, unless an earlier one did."""
    path = paths.of(known).fixed
    if not path.exists():
        text = "# Fixed by the first start of this Boxfleet; a change here changes nothing.\n"
        now = _first(known) or {name: getattr(known, name) for name in REMEDIES}
        durable.write(path, (text + yaml.safe_dump(now)).encode())


def note_store(known: settings.All) -> None:
    """The objects were moved to where the settings say."""
    head = "# Fixed by the first start of this Boxfleet; a change here changes nothing.\n"
    now = _first(known) | {"store": known.store}
    durable.write(paths.of(known).fixed, (head + yaml.safe_dump(now)).encode())


def store(known: settings.All) -> str:
    """The setting `store` that objects were last known to be at."""
    return str(_first(known).get("store", ""))


def faults(known: settings.All) -> list[str]:
    """What is asked for and cannot be any more: what is set, what was asked, and what to do."""
    found = []
    for name, value in _first(known).items():
        wanted = getattr(known, name)
        if wanted != value:
            now = value or "in the state folder"
            found.append(f"{name} is {now} since the first start and cannot become {wanted}\n    -> {REMEDIES[name]}")
    before = saved(known)
    if before is not None and before.run != known.run and supervision.is_running(paths.of(before)):
        found.append(
            f"run is {before.run} and cannot become {known.run} while Boxfleet runs\n"
            f"    -> stop it first: boxfleet down --state {known.state}"
        )
    return found


def saved(known: settings.All) -> settings.All | None:
    """The settings of the last start; none when there was none."""
    if not (pathlib.Path(known.state) / settings.FILE).exists():
        return None
    return settings.load(settings.All, flags={"state": known.state}, environ={})


def _first(known: settings.All) -> dict[str, Any]:
    """The fixed settings by name. A state folder of an older Boxfleet has them in its settings only."""
    try:
        loaded = yaml.safe_load(paths.of(known).fixed.read_text())
    except FileNotFoundError:
        before = saved(known)
        return {} if before is None else {name: getattr(before, name) for name in REMEDIES}
    # Before there was a choice, objects were in the default place.
    return {"store": ""} | {name: value for name, value in loaded.items() if name in REMEDIES}
