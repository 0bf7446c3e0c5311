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

from boxfleet.kit import template_sandbox

# Longer templates belong into the image.
SOURCE_LIMIT = 64 * 1024
# Longest result, in characters: a ConfigMap holds no more.
OUTPUT_LIMIT = template_sandbox.TEXT_LIMIT
_environment = template_sandbox.SandboxEnvironment()
# What deep nesting ends in, in Jinja2's parser and generator and in Python's own compiler.
_TOO_DEEP = (RecursionError, MemoryError, SyntaxError)


class TemplateError(ValueError):
    """A template cannot be read or rendered; the text says where and why."""


@dataclasses.dataclass(frozen=True, slots=True)
class Reference:
    """One chain of plain attributes in a template, such as ``units.db.ports.mysql`` in line 3."""

    path: tuple[str, ...]
    line: int


def references(source: str) -> list[Reference]:
    """Every chain that starts at a name from outside; raises TemplateError when the source is no good template."""
    _compiled(source)
    tree = _environment.parse(source)
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
    """The text with the facts filled in.

    Raises TemplateError on a reference to what is not there, and when the template takes more time or memory than a
    configuration file needs.
    """
    return _rendered(_compiled(source), facts)


@functools.lru_cache(maxsize=256)
def hopeless(source: str) -> str:
    """Why a template that compiles can never render; empty when it may, with whatever facts.

    Tried is what needs no facts and is reached always: the whole, or else each expression outside of conditions and
    loops. Everything else may depend on what is not known yet.
    """
    tree = _environment.parse(source)
    template = None
    if jinja2.meta.find_undeclared_variables(tree):
        always = [
            node for statement in tree.body if isinstance(statement, jinja2.nodes.Output) for node in statement.nodes
        ]
        tree.body = [jinja2.nodes.Output([node]) for node in always if _is_constant(node)]
        if not tree.body:
            return ""
        template = jinja2.Template.from_code(_environment, _environment.compile(tree), {})
    try:
        _rendered(template or _compiled(source), {})
    except TemplateError as error:
        return str(error).removeprefix("cannot render: ")
    return ""


def _is_constant(node: jinja2.nodes.Node) -> bool:
    if isinstance(node, jinja2.nodes.TemplateData | jinja2.nodes.Name):
        return False
    return next(node.find_all(jinja2.nodes.Name), None) is None


def _rendered(template: jinja2.Template, facts: Mapping[str, Any]) -> str:
    pieces: list[str] = []
    size = 0
    token = template_sandbox.fresh_budget()
    try:
        for piece in template.generate(facts):
            size += len(piece)
            if size > OUTPUT_LIMIT:
                raise TemplateError(f"cannot render: the result has more than {OUTPUT_LIMIT} characters")
            pieces.append(piece)
    except jinja2.TemplateError as error:
        raise TemplateError(f"cannot render: {error.message}") from None
    except _TOO_DEEP:
        raise TemplateError("cannot render: nested too deeply") from None
    except (AttributeError, TypeError, ValueError, ArithmeticError, LookupError) as error:
        if isinstance(error, TemplateError):
            raise
        raise TemplateError(f"cannot render: {error}") from None
    finally:
        template_sandbox.end(token)
    return "".join(pieces)


@functools.lru_cache(maxsize=256)
def _compiled(source: str) -> jinja2.Template:
    """Compiling costs twenty times what rendering does, and the instances of a Unit share their templates."""
    if len(source) > SOURCE_LIMIT:
        raise TemplateError(f"template has {len(source)} characters, more than the {SOURCE_LIMIT} allowed")
    # Constant parts are evaluated here already.
    token = template_sandbox.fresh_budget()
    try:
        return _environment.from_string(source)
    except jinja2.TemplateSyntaxError as error:
        raise TemplateError(f"line {error.lineno}: {error.message}") from None
    except jinja2.TemplateError as error:
        raise TemplateError(str(error.message)) from None
    except _TOO_DEEP:
        raise TemplateError("nested too deeply, or a number too long") from None
    except ValueError as error:
        raise TemplateError(str(error)) from None
    finally:
        template_sandbox.end(token)


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
