"""Slow work beside the Pods: log rotation and unused images."""

import asyncio
import os
import pathlib
from collections.abc import Callable

import msgspec
import structlog

from boxfleet.agent import parts
from boxfleet.api import pod as pods
from boxfleet.kit import durable
from boxfleet.planning import image_cleanup, log_rotation
from boxfleet.ports import runtime

log = structlog.get_logger()


class Housekeeping:
    """Keeps logs and images from filling the disk. `pods_here` gives all Pods that are wanted on this host."""

    def __init__(self, given: parts.Parts, images: runtime.Images, *, pods_here: Callable[[], list[pods.Pod]]) -> None:
        self._parts = given
        self._images = images
        self._pods_here = pods_here
        self._memory = pathlib.Path(given.settings.state) / "images.json"
        self._last_used: dict[str, float] = {}

    async def run(self) -> None:
        """Keep house until cancelled."""
        await self._parts.observer.synced.wait()
        if self._memory.exists():
            try:
                self._last_used = msgspec.json.decode(self._memory.read_bytes(), type=dict[str, float])
            except msgspec.DecodeError as error:
                # Only ages are lost: every image counts as used now.
                log.warning("cannot read the ages of images", path=str(self._memory), cause=str(error))
        while True:
            try:
                await self.rotate_logs()
                await self.clean_images()
            except (runtime.RuntimeFault, OSError) as error:
                log.info("housekeeping put off", cause=str(error))
            await self._parts.clock.sleep(self._parts.settings.cleanup)

    async def rotate_logs(self) -> None:
        """Move full logs aside and let the runtime go on in new ones."""
        wish = self._parts.settings
        for container in list(self._parts.observer.containers.values()):
            if container.state is not runtime.State.RUNNING or not container.log_path:
                continue
            path = pathlib.Path(container.log_path)
            if not path.exists() or path.stat().st_size <= wish.log_size:
                continue
            siblings = [one.name for one in path.parent.iterdir()]
            moves = log_rotation.moves(path.name, siblings, keep=wish.log_files)
            for name in moves.remove:
                (path.parent / name).unlink(missing_ok=True)
            for old, new in moves.rename:
                (path.parent / old).rename(path.parent / new)
            await self._parts.engine.reopen_log(container.id)

    async def relieve(self) -> bool:
        """Remove every image that nothing needs now, for there is no room; whether there was any."""
        return await self.clean_images(all_unused=True) > 0

    async def clean_images(self, *, all_unused: bool = False) -> int:
        """Remove images that nothing needs, when the disk is full or they are old; how many."""
        wish = self._parts.settings
        now = self._parts.clock.now().timestamp()
        found = await self._images.list()
        needed = {one.image for one in self._parts.observer.containers.values()}
        needed |= {one.image_ref for one in self._parts.observer.containers.values()}
        for pod in self._pods_here():
            needed |= {one.image for one in pod.spec.every_container}
        used, size = await self._images.usage()
        free = await asyncio.to_thread(_used_percent, pathlib.Path(wish.state))
        known = dict(self._last_used)
        decision = image_cleanup.decide(
            found,
            needed=frozenset(needed),
            last_used=known,
            now=now,
            disk=image_cleanup.Disk(images=used, size=size, percent=free),
            policy=image_cleanup.Policy(
                high=wish.image_high,
                low=wish.image_low,
                min_age=0.0 if all_unused else wish.image_min_age,
                max_age=0.0 if all_unused else wish.image_max_age,
                keep_prefix=wish.image_keep_prefix,
            ),
        )
        for image in decision.remove:
            log.info("removing an image that nothing needs", image=image.id, tags=image.tags, bytes=image.size)
            for name in [*image.tags, *image.digests] or [image.id]:
                await self._images.remove(name)
        if set(decision.last_used) != set(self._last_used):
            durable.write(self._memory, msgspec.json.encode(decision.last_used))
        self._last_used = decision.last_used
        return len(decision.remove)


def _used_percent(path: pathlib.Path) -> int:
    disk = os.statvfs(path)
    return 100 - 100 * disk.f_bavail // max(1, disk.f_blocks)
