"""What a request waits for where other servers write too."""

import asyncio

import pytest

from boxfleet.apiserver import authn, faults, freshness, route
from boxfleet.store import errors

pytestmark = pytest.mark.anyio


class _Shared:
    """A store whose database answers, fails or is silent."""

    def __init__(self, *, fault: Exception | None = None, silent: bool = False) -> None:
        self.asked = 0
        self._fault = fault
        self._silent = silent

    async def current(self) -> None:
        self.asked += 1
        if self._silent:
            await asyncio.Event().wait()
        if self._fault is not None:
            raise self._fault


async def _nothing() -> route.Message:
    return {"type": "http.disconnect"}


async def _nowhere(_: route.Message) -> None:
    return


def _call() -> route.Call:
    return route.Call(
        method="GET",
        path="/",
        params={},
        query={},
        headers={},
        user=authn.User(name="somebody"),
        scope={},
        receive=_nothing,
        send=_nowhere,
    )


async def _wait(shared: _Shared, *, resource: str, subresource: str) -> None:
    access = route.Access(verb="get", resource=resource, subresource=subresource)
    await freshness.wait(shared, _call(), access)  # type: ignore[arg-type]


@pytest.mark.parametrize("subresource", ["log", "exec", "attach", "portforward"])
async def test_streams_see_the_newest_and_do_without_the_database(
    subresource: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freshness, "_PATIENCE", 0.01)
    for shared in (_Shared(), _Shared(fault=errors.Unavailable("away")), _Shared(silent=True)):
        await _wait(shared, resource="pods", subresource=subresource)
        assert shared.asked == 1


async def test_what_agents_dial_waits_for_nothing_and_reads_for_everything() -> None:
    away = _Shared(fault=errors.Unavailable("away"))
    await _wait(away, resource="nodes", subresource="tunnel")
    assert away.asked == 0
    with pytest.raises(faults.Fault, match="away"):
        await _wait(away, resource="pods", subresource="")
