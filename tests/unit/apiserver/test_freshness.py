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
        self.trouble = "" if fault is None else f"{fault}; what is known here is 7 s old"
        self._fault = fault
        self._silent = silent

    def get(self, key: str) -> bytes | None:
        return b"x" if key == "//pods/default/one" else None

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


def _call(name: str) -> route.Call:
    return route.Call(
        method="GET",
        path="/",
        params={"namespace": "default", "name": name},
        query={},
        headers={},
        user=authn.User(name="somebody"),
        scope={},
        receive=_nothing,
        send=_nowhere,
    )


async def _wait(
    shared: _Shared, *, resource: str, subresource: str = "", verb: str = "get", name: str = "one"
) -> list[str]:
    """The warnings."""
    call = _call(name)
    access = route.Access(verb=verb, resource=resource, subresource=subresource)
    await freshness.wait(shared, call, access)  # type: ignore[arg-type]
    return call.warnings


@pytest.mark.parametrize("subresource", ["log", "exec", "attach", "portforward"])
async def test_streams_see_the_newest_and_do_without_the_database(
    subresource: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freshness, "_PATIENCE", 0.01)
    for shared in (_Shared(), _Shared(fault=errors.Unavailable("away")), _Shared(silent=True)):
        await _wait(shared, resource="pods", subresource=subresource)
        assert shared.asked == 1


async def test_a_known_pod_is_shown_with_its_age_and_all_else_refused() -> None:
    away = _Shared(fault=errors.Unavailable("away"))
    assert await _wait(_Shared(), resource="pods") == []
    (said,) = await _wait(away, resource="pods")
    assert "known here last" in said and "7 s old" in said
    refused = [
        {"resource": "pods", "name": "two"},
        {"resource": "pods", "name": "two", "subresource": "log"},
        {"resource": "pods", "verb": "list", "name": ""},
        {"resource": "pods", "verb": "patch"},
        {"resource": "pods", "subresource": "status"},
        {"resource": "configmaps"},
    ]
    for each in refused:
        with pytest.raises(faults.Fault, match="away"):
            await _wait(away, **each)


async def test_what_agents_dial_waits_for_nothing_and_reads_for_everything() -> None:
    away = _Shared(fault=errors.Unavailable("away"))
    await _wait(away, resource="nodes", subresource="tunnel")
    assert away.asked == 0
    with pytest.raises(faults.Fault, match="away"):
        await _wait(away, resource="nodes")
