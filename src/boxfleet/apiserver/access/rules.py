"""A role's rule (rbac.authorization.k8s.io/v1 PolicyRule): what it allows, and which rules cover which.

Pure. The words are Kubernetes': ``*`` is everything, ``*/scale`` that part of every resource; a path may end in ``*``.
"""

import itertools
from collections.abc import Iterable, Sequence

import msgspec

ALL = "*"


class Rule(msgspec.Struct, frozen=True, omit_defaults=True):
    """Verbs on resources of groups, all or by name; or on paths that are no resources."""

    verbs: tuple[str, ...] = ()
    apiGroups: tuple[str, ...] | None = ()
    resources: tuple[str, ...] | None = ()
    resourceNames: tuple[str, ...] | None = ()
    nonResourceURLs: tuple[str, ...] | None = ()


def is_about(rule: Rule, *, verb: str, group: str, resource: str, subresource: str) -> bool:
    """Whether a rule allows a verb on a resource, of some names at least."""
    return (
        (verb in rule.verbs or ALL in rule.verbs)
        and (group in (rule.apiGroups or ()) or ALL in (rule.apiGroups or ()))
        and _has_resource(rule.resources or (), resource, subresource)
    )


def allows_path(rule: Rule, *, verb: str, path: str) -> bool:
    """Whether a rule allows a verb on a path that is no resource."""
    return (verb in rule.verbs or ALL in rule.verbs) and any(
        _covers_path(pattern, path) for pattern in rule.nonResourceURLs or ()
    )


def missing(owned: Sequence[Rule], wanted: Iterable[Rule]) -> list[Rule]:
    """What of the wanted rules the owned ones do not cover, as rules for one thing each."""
    return [piece for rule in wanted for piece in _pieces(rule) if not any(_covers(each, piece) for each in owned)]


def compact(rules: Iterable[Rule]) -> list[Rule]:
    """Pieces for one resource (of one name, or all) with their verbs together; others as they are."""
    merged: dict[tuple[object, ...], list[str]] = {}
    for rule in rules:
        place = (rule.apiGroups, rule.resources, rule.resourceNames, rule.nonResourceURLs)
        merged.setdefault(place, []).extend(verb for verb in rule.verbs if verb not in merged.get(place, ()))
    return [
        Rule(verbs=tuple(verbs), apiGroups=groups, resources=resources, resourceNames=names, nonResourceURLs=urls)  # type: ignore[arg-type]
        for (groups, resources, names, urls), verbs in merged.items()
    ]


def shown(rule: Rule) -> str:
    """A rule in a message: ``{APIGroups:["apps"], Resources:["deployments"], Verbs:["get"]}``."""
    parts = (
        ("APIGroups", rule.apiGroups),
        ("Resources", rule.resources),
        ("NonResourceURLs", rule.nonResourceURLs),
        ("ResourceNames", rule.resourceNames),
        ("Verbs", rule.verbs),
    )
    return "{" + ", ".join(f"{name}:{listed(values)}" for name, values in parts if values) + "}"


def listed(values: Iterable[str]) -> str:
    """Words in a message: ``["a" "b"]``."""
    return "[" + " ".join(msgspec.json.encode(value).decode() for value in values) + "]"


def _has_resource(resources: Sequence[str], resource: str, subresource: str) -> bool:
    if ALL in resources:
        return True
    if not subresource:
        return resource in resources
    return f"{resource}/{subresource}" in resources or f"*/{subresource}" in resources


def _covers_path(pattern: str, path: str) -> bool:
    return pattern == path or (pattern.endswith("*") and path.startswith(pattern.rstrip("*")))


def _pieces(rule: Rule) -> Iterable[Rule]:
    """A rule as rules for one verb on one thing each."""
    for group, resource, verb in itertools.product(rule.apiGroups or (), rule.resources or (), rule.verbs):
        place = Rule(verbs=(verb,), apiGroups=(group,), resources=(resource,))
        if rule.resourceNames:
            for name in rule.resourceNames:
                yield msgspec.structs.replace(place, resourceNames=(name,))
        else:
            yield place
    for url, verb in itertools.product(rule.nonResourceURLs or (), rule.verbs):
        yield Rule(verbs=(verb,), nonResourceURLs=(url,))


def _covers(owned: Rule, piece: Rule) -> bool:
    (verb,) = piece.verbs
    if verb not in owned.verbs and ALL not in owned.verbs:
        return False
    if piece.nonResourceURLs:
        return any(_covers_path(pattern, piece.nonResourceURLs[0]) for pattern in owned.nonResourceURLs or ())
    if not piece.apiGroups or not piece.resources:
        return False
    if piece.apiGroups[0] not in (owned.apiGroups or ()) and ALL not in (owned.apiGroups or ()):
        return False
    resource, _, part = piece.resources[0].partition("/")
    if not _has_resource(owned.resources or (), resource, part):
        return False
    # Who has a right on some names only has it not on all.
    return not owned.resourceNames or bool(piece.resourceNames and piece.resourceNames[0] in owned.resourceNames)
