"""Sandboxed Jinja2 templates, and which facts a template refers to.

Templates come from users, so they run in Jinja2's immutable sandbox; a name that is not there is an error,
never an empty string.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jinja2
import jinja2.meta
import jinja2.nodes
import jinja2.sandbox

# Rendering is bounded: templates are short, facts are small, and a loop over them cannot be endless.
SOURCE_LIMIT = 64 * 1024
_environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
    undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False
)
# `range(10**9)` and its like have no use in a configuration file.
_environment.globals.clear()


class TemplateError(ValueError):
    """A template cannot be read or rendered; the text says where and why."""


@dataclasses.dataclass(frozen=True, slots=True)
class Reference:
    """One chain of plain attributes in a template, such as ``units.db.ports.mysql`` in line 3."""

    path: tuple[str, ...]
    line: int


def references(source: str) -> list[Reference]:
    """Every chain that starts at a name from outside; raises TemplateError when the source does not parse."""
    tree = _parse(source)
    outside = jinja2.meta.find_undeclared_variables(tree)
    found: dict[tuple[str, ...], int] = {}
    inner: set[int] = set()
    for node in tree.find_all((jinja2.nodes.Getattr, jinja2.nodes.Getitem, jinja2.nodes.Name)):
        if id(node) in inner:
            continue
        chain = _chain(node, inner)
        if chain and chain[0] in outside:
            found.setdefault(chain, node.lineno)
    return [Reference(path, line) for path, line in found.items()]


def render(source: str, facts: Mapping[str, Any]) -> str:
    """The text with the facts filled in; raises TemplateError on a reference to what is not there."""
    template = _compiled(source)
    try:
        return template.render(facts)
    except jinja2.TemplateError as error:
        raise TemplateError(f"cannot render: {error.message}") from None
    except (TypeError, ValueError, ArithmeticError, LookupError) as error:
        raise TemplateError(f"cannot render: {error}") from None


@functools.lru_cache(maxsize=256)
def _compiled(source: str) -> jinja2.Template:
    """Compiling costs twenty times what rendering does, and the instances of a Unit share their templates."""
    _parse(source)
    return _environment.from_string(source)


def _parse(source: str) -> jinja2.nodes.Template:
    if len(source) > SOURCE_LIMIT:
        raise TemplateError(f"template has {len(source)} characters, more than the {SOURCE_LIMIT} allowed")
    try:
        return _environment.parse(source)
    except jinja2.TemplateSyntaxError as error:
        raise TemplateError(f"line {error.lineno}: {error.message}") from None


def _chain(node: jinja2.nodes.Node, inner: set[int]) -> tuple[str, ...]:
    """The longest static chain below a node, outermost name first; marks what it consumed."""
    parts: list[str] = []
    while True:
        inner.add(id(node))
        if isinstance(node, jinja2.nodes.Getattr):
            parts.append(node.attr)
            node = node.node
        elif isinstance(node, jinja2.nodes.Getitem):
            key = node.arg.value if isinstance(node.arg, jinja2.nodes.Const) else None
            if isinstance(key, str | int):
                parts.append(str(key))
            else:
                # A computed key ends what can be known before rendering.
                parts.clear()
            node = node.node
        elif isinstance(node, jinja2.nodes.Name):
            parts.append(node.name)
            return tuple(reversed(parts))
        else:
            return ()
