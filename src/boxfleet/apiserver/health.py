"""`/livez`, `/readyz` and `/healthz` with their named checks, as Kubernetes answers them."""

import dataclasses
from collections.abc import Awaitable, Callable, Sequence

from boxfleet.apiserver import faults, route


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that must be well: `problem` says what is not, or nothing.

    A check that is no matter of life only keeps the server from being ready.
    """

    name: str
    problem: Callable[[], Awaitable[str]]
    life: bool = False


class Health:
    """Answers from the checks; every answer asks anew."""

    def __init__(self, checks: Sequence[Check]) -> None:
        self._checks = [Check(name="ping", problem=_nothing, life=True), *checks]

    def routes(self) -> list[route.Route]:
        """The three paths, whole and check by check."""
        table = []
        for path in ("/livez", "/readyz", "/healthz"):
            checks = [check for check in self._checks if check.life or path != "/livez"]
            table += [(path, _Answers(path, checks).all), (f"{path}/{{check}}", _Answers(path, checks).one)]
        return [
            route.Route(method="GET", path=path, access=route.Access(verb="get"), handle=handle)
            for path, handle in table
        ]


class _Answers:
    def __init__(self, path: str, checks: Sequence[Check]) -> None:
        self._name = path.removeprefix("/")
        self._checks = checks

    async def all(self, call: route.Call) -> route.Answer:
        """Every check but those that `exclude` names."""
        left_out = call.query.get("exclude", [])
        lines, well = [], True
        for check in self._checks:
            if check.name in left_out:
                lines.append(f"[+]{check.name} excluded: ok\n")
                continue
            problem = await check.problem()
            well = well and not problem
            lines.append(f"[-]{check.name} failed: {problem}\n" if problem else f"[+]{check.name} ok\n")
        unknown = [one for one in left_out if one not in {check.name for check in self._checks}]
        if unknown:
            lines.append(f"warn: some health checks cannot be excluded: no matches for {', '.join(unknown)}\n")
        if not well:
            return _text("".join([*lines, f"{self._name} check failed\n"]), status=500)
        return _text("".join([*lines, f"{self._name} check passed\n"]) if "verbose" in call.query else "ok")

    async def one(self, call: route.Call) -> route.Answer:
        """A single check by its name; raises Fault 404."""
        check = next((check for check in self._checks if check.name == call.params["check"]), None)
        if check is None:
            raise faults.no_such_path()
        problem = await check.problem()
        return _text(f"{check.name} failed: {problem}\n", status=500) if problem else _text("ok")


async def _nothing() -> str:
    return ""


def _text(text: str, *, status: int = 200) -> route.Answer:
    return route.Answer(status=status, body=text.encode(), content_type="text/plain; charset=utf-8")
