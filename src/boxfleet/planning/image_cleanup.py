"""Which images go: unused ones, when the disk is full or they are old; never one that is needed."""

from collections.abc import Mapping, Sequence

import msgspec

from boxfleet.ports import runtime


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Percent of the disk in use at which removing begins and ends; ages in seconds."""

    high: int
    low: int
    min_age: float
    max_age: float
    keep_prefix: str


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of images, bytes of their file system, and how full it is in percent."""

    images: int
    size: int
    percent: int


class Decision(msgspec.Struct, kw_only=True):
    """What to remove, and when each image was used last (seconds since the epoch)."""

    remove: list[runtime.Image] = []
    last_used: dict[str, float] = {}


def decide(
    images: Sequence[runtime.Image],
    *,
    needed: frozenset[str],
    last_used: Mapping[str, float],
    now: float,
    disk: Disk,
    policy: Policy,
) -> Decision:
    """Oldest first; an image seen for the first time counts as used now."""
    decision = Decision()
    unused = []
    for image in images:
        names = {image.id, *image.tags, *image.digests}
        in_use = image.pinned or bool(names & needed) or any(tag.startswith(policy.keep_prefix) for tag in image.tags)
        decision.last_used[image.id] = now if in_use else last_used.get(image.id, now)
        if not in_use and now - decision.last_used[image.id] >= policy.min_age:
            unused.append(image)
    excess = disk.size * (disk.percent - policy.low) // 100 if disk.percent >= policy.high else 0
    for image in sorted(unused, key=lambda one: (decision.last_used[one.id], one.id)):
        if now - decision.last_used[image.id] >= policy.max_age or excess > 0:
            decision.remove.append(image)
            excess -= image.size
            del decision.last_used[image.id]
    return decision
