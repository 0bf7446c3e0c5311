"""What an operator says of moving instances that run: when, how far, how fast."""

import enum
from typing import Annotated

import msgspec

from boxfleet.api import fields, kind, meta

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


class Mode(enum.StrEnum):
    """What moving is for."""

    OFF = "Off"
    EVEN = "Even"
    CONSOLIDATE = "Consolidate"


class Window(meta.Model):
    """When instances may be moved; UTC."""

    start: Annotated[
        str, msgspec.Meta(description="Time of day, such as 22:00.", pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")
    ]
    minutes: Annotated[int, msgspec.Meta(description="How long it lasts.", ge=1, le=1440)]
    days: Annotated[list[str], msgspec.Meta(description="Mon to Sun, on which it starts; every day when empty.")] = []


class Rebalance(meta.Model):
    """Off: nothing that runs is moved. Even: from hosts that are busy to those that are not. Consolidate: hosts with
    little to do are emptied."""

    mode: Annotated[Mode, msgspec.Meta(description="Off, Even or Consolidate.")] = Mode.OFF
    busyPercent: Annotated[
        int, msgspec.Meta(description="Real use of CPU or memory from which a host is busy.", ge=1, le=100)
    ] = 80
    spreadPercent: Annotated[
        int, msgspec.Meta(description="How much more in use one host may be than another.", ge=5, le=100)
    ] = 25
    idlePercent: Annotated[
        int, msgspec.Meta(description="Consolidate: requests below which a host is worth emptying.", ge=1, le=100)
    ] = 40
    movesPerHour: Annotated[int, msgspec.Meta(description="At most so many instances.", ge=1, le=3600)] = 12
    windows: Annotated[list[Window], msgspec.Meta(description="Only then; at any time when empty.")] = []


def validate(found: kind.JsonObject, path: str) -> list[kind.FieldError]:
    """Check it as JSON data."""
    return [
        fields.not_supported(f"{path}.windows[{index}].days[{place}]", day, _DAYS)
        for index, window in enumerate(found.get("windows") or ())
        for place, day in enumerate(window.get("days") or ())
        if day not in _DAYS
    ]
