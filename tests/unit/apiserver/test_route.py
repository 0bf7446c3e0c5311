"""Which route a path finds, beside a search through all of them."""

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxfleet.apiserver import faults, route

_PATHS = (
    "/",
    "/a",
    "/a/{x}",
    "/a/b",
    "/a/{x}/c",
    "/a/b/{y}/d",
    "/a/{x}/{y}/e",
    "/a/b/{rest*}",
    "/{one}/b/c",
    "/f/{x}/{rest*}",
)


async def _nothing(call: route.Call) -> route.Answer | None:
    return None


def _route(path: str) -> route.Route:
    return route.Route(method="GET", path=path, access=route.Access(verb="get"), handle=_nothing)


# One for all examples: it remembers where paths begin that were asked for.
_ROUTER = route.Router(_route(path) for path in _PATHS)


def _params(pattern: str, path: str) -> dict[str, str] | None:
    """The parameters of a path by one pattern; None when it does not fit."""
    wanted, given_ = pattern.split("/")[1:], path.split("/")[1:]
    params = {}
    for at, part in enumerate(wanted):
        if part.endswith("*}"):
            if at >= len(given_):
                return None
            params[part[1:-2]] = "/".join(given_[at:])
            return params
        if at >= len(given_) or (given_[at] != part if not part.startswith("{") else not given_[at]):
            return None
        if part.startswith("{"):
            params[part[1:-1]] = given_[at]
    return params if len(wanted) == len(given_) else None


def _rank(pattern: str) -> list[int]:
    """Literal segments win over parameters, which win over the rest: the first that differs decides."""
    return [2 if part.endswith("*}") else int(part.startswith("{")) for part in pattern.split("/")[1:]]


@given(st.lists(st.sampled_from(["a", "b", "c", "d", "e", "f", ""]), min_size=1, max_size=5))
def test_the_best_fitting_route_is_found(segments: list[str]) -> None:
    path = "/" + "/".join(segments)
    # One slash at the end makes no difference.
    plain = path.removesuffix("/") if path != "/" else path
    hypothesis.assume(path != "//")
    fitting = sorted((pattern for pattern in _PATHS if _params(pattern, plain) is not None), key=_rank)
    if not fitting:
        with pytest.raises(faults.Fault):
            _ROUTER.find("GET", path)
        return
    found, params = _ROUTER.find("GET", path)
    assert found.path == fitting[0]
    assert params == _params(fitting[0], plain)


def test_routes_come_and_go_at_run_time() -> None:
    router = route.Router([_route("/a/{x}")])
    assert router.find("GET", "/a/b")[1] == {"x": "b"}
    better = _route("/a/b")
    router.add([better])
    assert router.find("GET", "/a/b") == (better, {})
    assert router.find("GET", "/a/c")[1] == {"x": "c"}
    router.remove([better])
    assert router.find("GET", "/a/b")[1] == {"x": "b"}
    last = router.routes[0]
    router.remove([last])
    with pytest.raises(faults.Fault):
        router.find("GET", "/a/b")


def test_any_number_of_paths_may_be_asked_for() -> None:
    for number in range(5000):
        assert _ROUTER.find("GET", f"/a/{number}/c")[1] == {"x": str(number)}
    assert len(_ROUTER._lately) <= 1024
