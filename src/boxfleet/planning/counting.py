"""Counts in a status that a write changes: what is used, of what is allowed."""

from collections.abc import Collection, Mapping
from typing import Any

from boxfleet.api import admission
from boxfleet.planning import usage

Json = dict[str, Any]


def charged(name: str, obj: Json, delta: Mapping[str, int], *, limited: Collection[str]) -> Json | None:
    """The object that keeps count, with `status.used` changed; None when nothing of it changes.

    `limited` is what is to be limited; as long as the status does not say how much of that is used, nothing that counts
    comes in. Raises admission.Refused, in Kubernetes' words, when more would be used than `status.hard` allows.
    """
    status = obj.get("status") or {}
    hard, used = status.get("hard") or {}, status.get("used") or {}
    more = {each for each, change in delta.items() if change > 0 and each in limited}
    if unknown := sorted(each for each in more if each not in hard or each not in used):
        raise admission.Refused(f"status unknown for quota: {name}, resources: {','.join(unknown)}")
    have = {each: usage.amount(each, used[each]) for each in delta if each in used}
    if over := sorted(each for each in more if have[each] + delta[each] > usage.amount(each, hard[each])):
        requested = ",".join(f"{each}={usage.text_of(each, delta[each])}" for each in over)
        raise admission.Refused(
            f"exceeded quota: {name}, requested: {requested}, used: {_listed(over, used)}, "
            f"limited: {_listed(over, hard)}"
        )
    if not have:
        return None
    changed = {each: usage.text_of(each, max(0, have[each] + delta[each])) for each in have}
    return {**obj, "status": {**status, "used": {**used, **changed}}}


def status(hard: Mapping[str, Any], counts: Mapping[str, int]) -> Json:
    """The limits as they are enforced, and what counts against them."""
    limits = {name: str(value) for name, value in hard.items()}
    return {"hard": limits, "used": {name: usage.text_of(name, counts.get(name, 0)) for name in limits}}


def _listed(names: Collection[str], amounts: Mapping[str, str]) -> str:
    return ",".join(f"{name}={amounts[name]}" for name in names)
