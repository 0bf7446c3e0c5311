"""What the API still says of instances that were stopped since: nobody has looked at them yet."""

import dataclasses
import datetime
from typing import TypeVar

import msgspec

from boxfleet.api import box, meta, pod, unit
from boxfleet.kit import clock
from boxfleet.planning import health, instances

_R = TypeVar("_R", box.Box, unit.Unit, pod.Pod)


def without(world: health.World, *, since: datetime.datetime) -> health.World:
    """The world without the readiness of instances that were started before that moment, when all were stopped."""
    moment = clock.stamp(since)
    forgotten = [each for each in world.pods if _is_memory(each, moment)]
    if not forgotten:
        return world
    keys = {each.key for each in forgotten}
    units = {instances.unit_key(each) for each in forgotten}
    boxes = {meta.Key(one.metadata.namespace, one.spec.box) for one in world.units if one.key in units}
    return dataclasses.replace(
        world,
        pods=[_unready(each, moment) if each.key in keys else each for each in world.pods],
        units=[_unready(each, moment) if each.key in units else each for each in world.units],
        boxes=[_unready(each, moment) if each.key in boxes else each for each in world.boxes],
    )


def _is_memory(subject: pod.Pod, moment: str) -> bool:
    running = [each.state.running for each in subject.status.containerStatuses if each.state.running is not None]
    return any(each.startedAt < moment for each in running if each.startedAt)


def _unready(subject: _R, moment: str) -> _R:
    said: list[meta.Condition] = [each for each in subject.status.conditions if each.type != "Ready"]
    new = meta.Condition(
        type="Ready", status="False", reason="Starting", message="starts again", lastTransitionTime=moment
    )
    return msgspec.structs.replace(subject, status=msgspec.structs.replace(subject.status, conditions=[*said, new]))
