"""In which order instances stop when everything does: those that need others before those that are needed."""

from collections.abc import Iterable

from boxfleet.api import meta, pod, unit
from boxfleet.planning import box, instances


def stages(units: Iterable[unit.Unit], pods: Iterable[pod.Pod]) -> list[dict[str, int]]:
    """Waves of instances, each a mapping of Pod UID to grace in seconds; one wave begins when the last has ended.

    A Unit's wave is the length of the longest chain of dependants above it, so that each stops after all that need it.
    """
    known = {each.key: each for each in units}
    needed_by: dict[meta.Key, list[meta.Key]] = {}
    for key, each in known.items():
        for need in each.spec.dependsOn:
            name = box.unit_name(each.spec.box, need.unit) if each.spec.box else need.unit
            needed_by.setdefault(meta.Key(key.namespace, name), []).append(key)

    def depth(key: meta.Key, seen: frozenset[meta.Key]) -> int:
        # Cycles are refused at the API; one that is there all the same must not end this.
        above = [each for each in needed_by.get(key, []) if each not in seen]
        return 1 + max((depth(each, seen | {key}) for each in above), default=-1)

    waves: dict[int, dict[str, int]] = {}
    for one in pods:
        key = instances.unit_key(one)
        wave = depth(key, frozenset()) if key in known else 0
        waves.setdefault(wave, {})[one.metadata.uid] = one.spec.terminationGracePeriodSeconds
    return [waves[number] for number in sorted(waves)]
