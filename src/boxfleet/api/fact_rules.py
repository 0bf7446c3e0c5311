"""Rules for what templates refer to: the facts of a Box, as far as they can be known before anything runs."""

import dataclasses
from collections.abc import Collection, Iterable, Mapping

from boxfleet.api import fields, kind

_INSTANCE = ("name", "ordinal", "domain", "address", "namespace")
_BOX = ("name", "namespace")
_UNIT = ("name", "domain", "replicas", "ports", "members")
_MEMBER = ("name", "ordinal", "domain", "address")
# What Jinja2 finds on any dictionary, for loops over it.
_DICTIONARY = ("items", "keys", "values", "get")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What can be referred to: the own Unit's name and ports, whether there is a Box, and its Units' ports by name.

    `peers` is None where only the Box could know them.
    """

    own: str
    own_ports: Collection[str]
    boxed: bool
    peers: Mapping[str, Collection[str]] | None


def check(sources: Mapping[str, str], known: Known) -> list[kind.FieldError]:
    """Every template that does not parse, and every reference that cannot hold; `sources` are by field."""
    # Only the server checks: everybody else who loads the kinds is spared Jinja2, in memory and in time.
    from boxfleet.kit import templates

    errors: list[kind.FieldError] = []
    for field, source in sources.items():
        # Most values are plain text.
        if "{" not in source:
            continue
        try:
            found = templates.references(source)
        except templates.TemplateError as error:
            errors.append(fields.invalid_hidden(field, f"not a template: {error}"))
            continue
        if never := templates.hopeless(source):
            errors.append(fields.invalid_hidden(field, f"can never be rendered: {never}"))
        for reference in found:
            if fault := _fault(reference.path, known):
                name = ".".join(reference.path)
                errors.append(fields.invalid_hidden(field, f"{name}: {fault} (line {reference.line})"))
    return errors


def _fault(path: tuple[str, ...], known: Known) -> str | None:
    """What is wrong with a reference, with what would be right; None when it may hold."""
    root, rest = path[0], path[1:]
    if root == "instance":
        return _leaf(rest, _INSTANCE, "an instance")
    if root == "box" and known.boxed:
        return _leaf(rest, _BOX, "box")
    if root == "unit":
        return _unit(rest, known.own, known.own_ports)
    if root == "units":
        return _units(rest, known)
    if root == "box":
        return "this Unit belongs to no Box; it knows instance, unit, units"
    roots = "instance, box, unit, units" if known.boxed else "instance, unit, units"
    return f'no "{root}" is known to templates; they know {roots}'


def _units(rest: tuple[str, ...], known: Known) -> str | None:
    if not rest or rest[0] in _DICTIONARY:
        return None
    name = rest[0]
    if known.peers is None:
        return _unit(rest[1:], name, known.own_ports if name == known.own else None)
    if name not in known.peers:
        where = "in this Box; it has" if known.boxed else "here: this Unit belongs to no Box and knows"
        return f'no Unit "{name}" {where}: {_listed(known.peers)}'
    return _unit(rest[1:], name, known.peers[name])


def _unit(rest: tuple[str, ...], name: str, ports: Collection[str] | None) -> str | None:
    if not rest:
        return None
    if rest[0] == "ports" and len(rest) > 1:
        if ports is None or rest[1] in ports:
            return _end(rest[2:], "a port's number")
        if rest[1] in _DICTIONARY:
            return None
        has = f"its named ports are: {_listed(ports)}" if ports else "none of its containers' ports has a name"
        return f'Unit "{name}" has no port "{rest[1]}"; {has}'
    if rest[0] == "members" and len(rest) > 1:
        if not rest[1].lstrip("-").isdigit():
            return "members is a list: use members[0], or a loop over it"
        return _leaf(rest[2:], _MEMBER, "a member")
    if rest[0] in ("ports", "members"):
        return None
    return _leaf(rest, _UNIT, "a Unit")


def _leaf(rest: tuple[str, ...], leaves: tuple[str, ...], owner: str) -> str | None:
    if not rest or rest[0] in _DICTIONARY:
        return None
    if rest[0] not in leaves:
        return f'{owner} has no "{rest[0]}"; it has: {", ".join(leaves)}'
    return None


def _end(rest: tuple[str, ...], what: str) -> str | None:
    return f'{what} has no "{rest[0]}"' if rest else None


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
