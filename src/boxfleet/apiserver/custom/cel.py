"""The Common Expression Language (cel.dev) with the functions that Kubernetes adds, as far as they are served.

The library is loaded with the first rule: it takes 30 MiB. A rule may go through at most 10,000 items (the library's
own limit), and texts are matched by RE2, whose time grows with their length alone.
"""

import functools
import itertools
import re
import urllib.parse
from typing import Any

import re2

from boxfleet.kit import quantity

# Steps through long texts that one rule may take: items gone through, times the longest text.
_WORK_LIMIT = 50_000_000
_ITEMS_LIMIT = 10_000
_MACRO = re.compile(r"\.(?:all|exists|exists_one|filter|map)\s*\(")
# What a rule may be called with when the old value may be missing: a list of one or none.
_OLD = "oldSelfOrNone"
_MAYBE_OLD = f"cel.bind(oldSelf, size({_OLD}) > 0 ? optional.of({_OLD}[0]) : optional.none(), ({{}}))"


# Called as a.f(b), or as f(a, b).
_MEMBER, _GLOBAL = True, False


class RuleError(ValueError):
    """An expression that cannot be compiled, or that came to no result."""


class Expression:
    """A compiled expression; `returns` is BOOL, STRING, DYN..."""

    def __init__(self, text: str, *, optional_old: bool = False) -> None:
        """`optional_old`: oldSelf is an optional. Raises RuleError."""
        self._optional_old = optional_old
        self._nesting = len(_MACRO.findall(text))
        try:
            self._compiled = _environment().compile(_MAYBE_OLD.format(text) if optional_old else text)
        except RuntimeError as error:
            raise RuleError(f"compilation failed: {_reason(error)}") from None
        self.returns: str = self._compiled.return_type().name()

    def evaluate(self, self_: Any, old: tuple[Any, ...]) -> Any:
        """The result for a value and the old one, if there is one; raises RuleError."""
        if self._nesting:
            self._check_work(self_)
        data: dict[str, Any] = {"self": self_}
        if self._optional_old:
            data[_OLD] = list(old)
        elif old:
            data["oldSelf"] = old[0]
        try:
            result = self._compiled.eval(data=data)
        except RuntimeError as error:
            if "budget" in str(error):
                raise RuleError(f"the rule goes through more than {_ITEMS_LIMIT} items") from None
            raise RuleError(_reason(error)) from None
        if result.type().name() == "ERROR" or not isinstance(value := result.value(), bool | str | int | float):
            raise RuleError(_reason(result.value()))
        return value

    def _check_work(self, value: Any) -> None:
        items, text = _extent(value)
        if min(items**self._nesting, _ITEMS_LIMIT) * text > _WORK_LIMIT:
            raise RuleError("the rule would take too long on texts and lists of this size")


def _reason(error: Any) -> str:
    """The first line of the library's words."""
    text = str(error).strip()
    text = re.sub(r"^[A-Z_]+: ", "", text)
    return re.sub(r"\s*\[[A-Z_]+\]$", "", text.splitlines()[0]) if text else "no result"


def _extent(value: Any) -> tuple[int, int]:
    """The size of the largest collection and the length of the longest text in a value."""
    most, longest = 1, 1
    level = [value]
    while level:
        one = level.pop()
        if type(one) is str:
            longest = max(longest, len(one))
        elif isinstance(one, dict | list):
            most = max(most, len(one))
            level += one.values() if isinstance(one, dict) else one
    return most, longest


@functools.cache
def _environment() -> Any:
    from cel_expr_python import cel
    from cel_expr_python.ext import ext_bindings, ext_encoders, ext_math, ext_optional, ext_strings

    return cel.NewEnv(
        variables={"self": cel.Type.DYN, "oldSelf": cel.Type.DYN, _OLD: cel.Type.List(cel.Type.DYN)},
        extensions=[
            ext_strings.ExtStrings(),
            ext_optional.ExtOptional(),
            ext_math.ExtMath(),
            ext_encoders.ExtEncoders(),
            ext_bindings.ExtBindings(),
            _kubernetes(cel),
        ],
    )


def _kubernetes(cel: Any) -> Any:
    """Functions of Kubernetes' list, regex, sets, URL and quantity libraries (kubernetes.io, "CEL in Kubernetes")."""
    kinds = cel.Type
    many = kinds.List(kinds.DYN)

    def member(name: str, result: Any, parameters: list[Any], run: Any) -> Any:
        id_ = f"kubernetes_{name}_{len(parameters)}"
        overload = cel.Overload(id_, result, parameters, _MEMBER, run)
        return cel.FunctionDecl(name, [overload])

    def plain(name: str, result: Any, parameters: list[Any], run: Any) -> Any:
        id_ = f"kubernetes_{name.replace('.', '_')}"
        return cel.FunctionDecl(name, [cel.Overload(id_, result, parameters, _GLOBAL, run)])

    return cel.CelExtension(
        "kubernetes",
        [
            member("isSorted", kinds.BOOL, [many], lambda items: all(a <= b for a, b in _pairs(items))),
            member("sum", kinds.DYN, [many], sum),
            member("min", kinds.DYN, [many], min),
            member("max", kinds.DYN, [many], max),
            member("indexOf", kinds.INT, [many, kinds.DYN], lambda items, item: _place(items, item)),
            member("lastIndexOf", kinds.INT, [many, kinds.DYN], _last_place),
            member("find", kinds.STRING, [kinds.STRING, kinds.STRING], _find),
            member("findAll", kinds.List(kinds.STRING), [kinds.STRING, kinds.STRING], _find_all),
            plain("sets.contains", kinds.BOOL, [many, many], lambda left, right: all(one in left for one in right)),
            plain("sets.intersects", kinds.BOOL, [many, many], lambda left, right: any(one in left for one in right)),
            plain(
                "sets.equivalent",
                kinds.BOOL,
                [many, many],
                lambda left, right: all(one in left for one in right) and all(one in right for one in left),
            ),
            plain("isURL", kinds.BOOL, [kinds.STRING], _is_url),
            plain("isQuantity", kinds.BOOL, [kinds.STRING], quantity.is_quantity),
        ],
    )


def _pairs(items: list[Any]) -> Any:
    return itertools.pairwise(items)


def _place(items: list[Any], item: Any) -> int:
    return items.index(item) if item in items else -1


def _last_place(items: list[Any], item: Any) -> int:
    place = _place(items[::-1], item)
    return place if place < 0 else len(items) - 1 - place


def _find(text: str, pattern: str) -> str:
    found = re2.search(pattern, text)
    return found.group(0) if found is not None else ""


def _find_all(text: str, pattern: str) -> list[str]:
    return [found.group(0) for found in re2.finditer(pattern, text)]


def _is_url(text: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme and parts.netloc) or text.startswith("/")
