"""The environment that users' templates run in: Jinja2's immutable sandbox, cut down until its cost is bounded.

Jinja2's sandbox guards secrets, not time and memory: ``"x" * 10**9``, ``9**9**9`` or a loop in a loop would still
stop the server. So only the parts of the language that configuration files need are let in, what can grow is
measured before it grows, and every step of a loop is paid for from a budget.
"""

import contextvars
import functools
import operator
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jinja2
import jinja2.nodes as nodes
import jinja2.sandbox
import msgspec

# Longest text, in characters: of a value on the way as well as of the whole result.
TEXT_LIMIT = 1024 * 1024
# Evaluated parts of a template; a few hundred nanoseconds each, in which the server does nothing else. A line for each
# of ten thousand members takes half of them.
STEP_LIMIT = 300_000
# Parts that a template consists of: compiling costs a tenth of a millisecond each.
NODE_LIMIT = 4000
# Numbers are ports, counts and sizes.
_NUMBER_LIMIT = 2**63

_NODES = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.List, nodes.Tuple, nodes.Dict,
    nodes.Pair, nodes.Getattr, nodes.Getitem, nodes.For, nodes.If, nodes.CondExpr, nodes.Compare, nodes.Operand,
    nodes.And, nodes.Or, nodes.Not, nodes.Neg, nodes.Pos, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv,
    nodes.Mod, nodes.Concat, nodes.Filter, nodes.Test, nodes.Call, nodes.Keyword, nodes.Assign,
)  # fmt: skip
_METHODS = frozenset({
    "cycle", "endswith", "get", "items", "keys", "lower", "lstrip", "removeprefix", "removesuffix", "rstrip", "split",
    "startswith", "strip", "upper", "values",
})  # fmt: skip
_FILTERS = frozenset({
    "abs", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first", "float", "int", "items", "last",
    "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "reverse", "select", "selectattr", "sort",
    "string", "sum", "title", "trim", "unique", "upper",
})  # fmt: skip
# Put into the tree by `SandboxEnvironment`; no template can name them, since '$' is no letter of its language.
_STEPS, _WEIGH, _JOIN_ALL = "$steps", "$weigh", "$join"


class LimitError(jinja2.TemplateRuntimeError):
    """A template wants more time or memory than a configuration file needs."""


class Budget:
    """What one rendering may still cost."""

    def __init__(self) -> None:
        self.left = STEP_LIMIT

    def spend(self, steps: int) -> None:
        """Pay, or raise LimitError."""
        self.left -= steps
        if self.left < 0:
            raise LimitError("takes too many steps: use fewer or smaller loops")


_budget: contextvars.ContextVar[Budget] = contextvars.ContextVar("budget")


def fresh_budget() -> contextvars.Token[Budget]:
    """Begin a rendering or a compilation; hand the token to `end`."""
    return _budget.set(Budget())


def end(token: contextvars.Token[Budget]) -> None:
    """End what `fresh_budget` began."""
    _budget.reset(token)


class SandboxEnvironment(jinja2.sandbox.ImmutableSandboxedEnvironment):
    """Parses only what is allowed, and builds the measuring into the tree."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def __init__(self) -> None:
        super().__init__(undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False)
        self.globals.clear()
        self.tests.pop("in", None)
        allowed = {name: _paid(filter_) for name, filter_ in self.filters.items() if name in _FILTERS}
        own: dict[str, Callable[..., Any]] = {
            "indent": _indent, "join": _join, "replace": _replace, "tojson": _tojson,
            _STEPS: _steps, _WEIGH: _weigh, _JOIN_ALL: _join_all,
        }  # fmt: skip
        self.filters = {**allowed, **own}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        _check(tree)
        return _measured(tree)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Arithmetic on numbers of usual size; texts and lists are added, never multiplied."""
        numbers = isinstance(left, int | float) and isinstance(right, int | float)
        if operator == "+" and not numbers:
            _fits(_size(left) + _size(right))
            _spend((_size(left) + _size(right)) // 64)
        elif not numbers:
            raise LimitError(f"'{operator}' works on numbers only")
        result = _OPERATORS[operator](left, right)
        if isinstance(result, int | float) and abs(result) > _NUMBER_LIMIT:
            raise LimitError(f"the result of '{operator}' is too large a number")
        return result


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "//": operator.floordiv,
    "%": operator.mod,
}  # fmt: skip


def _check(tree: nodes.Template) -> None:
    """Refuse what no configuration file needs; raises TemplateSyntaxError."""
    for count, node in enumerate(tree.find_all(nodes.Node)):
        if count > NODE_LIMIT:
            raise jinja2.TemplateSyntaxError(f"the template has more than {NODE_LIMIT} parts", node.lineno)
        if not isinstance(node, _NODES):
            word = "**" if isinstance(node, nodes.Pow) else type(node).__name__.lower()
            raise jinja2.TemplateSyntaxError(
                f"{word} is not allowed in templates; there are values, filters, if, for and set", node.lineno
            )
        if isinstance(node, nodes.For) and node.recursive:
            raise jinja2.TemplateSyntaxError("recursive loops are not allowed", node.lineno)
        if isinstance(node, nodes.Call):
            method = node.node.attr if isinstance(node.node, nodes.Getattr) else ""
            if method not in _METHODS or node.dyn_args is not None or node.dyn_kwargs is not None:
                raise jinja2.TemplateSyntaxError(
                    f"only these can be called: {', '.join(f'.{name}()' for name in sorted(_METHODS))}", node.lineno
                )


def _measured(tree: nodes.Template) -> nodes.Template:
    """Make loops pay for each round, and operations for the size of what they read."""
    for comparison in list(tree.find_all(nodes.Compare)):
        for operand in comparison.ops:
            operand.expr = _filtered(operand.expr, _WEIGH)
    for call in list(tree.find_all(nodes.Call)):
        assert isinstance(call.node, nodes.Getattr)
        if call.node.attr != "cycle":
            call.node.node = _filtered(call.node.node, _WEIGH)
    for loop in list(tree.find_all(nodes.For)):
        parts = sum(1 for part in (*loop.body, *([loop.test] if loop.test else ())) for _ in part.find_all(nodes.Node))
        loop.iter = _filtered(loop.iter, _STEPS, nodes.Const(parts + 1))
    return _Concatenations().visit(tree)  # type: ignore[no-any-return]


class _Concatenations(jinja2.visitor.NodeTransformer):
    """``a ~ b`` becomes a filter that measures first."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        listed = nodes.List(list(node.nodes))
        listed.set_lineno(node.lineno)
        assert node.environment is not None
        listed.set_environment(node.environment)
        return _filtered(listed, _JOIN_ALL)


def _filtered(node: nodes.Node, name: str, *arguments: nodes.Expr) -> nodes.Filter:
    wrapped = nodes.Filter(node, name, list(arguments), [], None, None)
    wrapped.set_lineno(node.lineno)
    assert node.environment is not None
    wrapped.set_environment(node.environment)
    return wrapped


def _spend(steps: int) -> None:
    _budget.get().spend(steps)


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str | list | tuple | dict) else 1


def _fits(size: int) -> None:
    if size > TEXT_LIMIT:
        raise LimitError(f"a value grows beyond {TEXT_LIMIT} characters")


def _weigh(value: Any) -> Any:
    _spend(_size(value))
    return value


def _steps(values: Iterable[Any], cost: int) -> Iterator[Any]:
    for value in values:
        _spend(cost)
        yield value


def _paid(filter_: Callable[..., Any]) -> Callable[..., Any]:
    """A filter of Jinja2's own that pays for what it reads and for what it makes."""

    # wraps() keeps the marks by which Jinja2 knows what a filter wants to be passed.
    @functools.wraps(filter_)
    def paid(*arguments: Any, **options: Any) -> Any:
        _spend(1 + sum(_size(argument) for argument in arguments))
        result = filter_(*arguments, **options)
        size = _size(result)
        _fits(size)
        _spend(size)
        return result

    return paid


def _text(value: Any) -> str:
    text = str(value)
    _fits(len(text))
    _spend(1 + len(text) // 64)
    return text


def _join_all(values: list[Any]) -> str:
    texts = [_text(value) for value in values]
    _fits(sum(map(len, texts)))
    return "".join(texts)


def _join(values: Iterable[Any], separator: str = "", attribute: str | None = None) -> str:
    """Jinja2's `join`: texts of the items, or of one attribute of each, with a separator between."""
    texts: list[str] = []
    size = 0
    for value in values:
        texts.append(_text(value if attribute is None else value[attribute]))
        size += len(texts[-1]) + len(separator)
        _fits(size)
    return separator.join(texts)


def _replace(value: Any, old: str, new: str) -> str:
    text = _text(value)
    _fits(len(text) + text.count(old) * len(new))
    return text.replace(old, new)


def _indent(value: Any, width: int = 4, first: bool = False) -> str:  # noqa: FBT001, FBT002 (as templates call it)
    """All lines but empty ones pushed to the right; the first one only when asked."""
    if not 0 <= width <= 100:
        raise LimitError("indent: width must be between 0 and 100")
    lines = _text(value).split("\n")
    _fits(sum(len(line) + width for line in lines))
    pad = " " * width
    padded = [pad + line if line else line for line in lines]
    return "\n".join(padded if first else [lines[0], *padded[1:]])


def _tojson(value: Any) -> str:
    return _text(msgspec.json.encode(value).decode())
