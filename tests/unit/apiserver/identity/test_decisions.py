"""What is remembered of tokens: bounded, and never longer than it holds."""

import pathlib

import pytest

from boxfleet.apiserver import authn
from boxfleet.apiserver.identity import decisions
from boxfleet.kit import clock
from boxfleet.store import store

pytestmark = pytest.mark.anyio


async def test_memory_is_bounded(tmp_path: pathlib.Path) -> None:
    opened = await store.Store.open(tmp_path / "boxfleet.db")
    try:
        await opened.write("//pods/d/p", lambda _: b'{"kind":"Pod","metadata":{"uid":"u"}}', expected=0)
        known = decisions.Decisions(opened, clock=clock.SystemClock(), limit=100)
        user = authn.User(name="a")

        def decision() -> decisions.Decision:
            bonds = [decisions.Bond(key="//pods/d/p", uid="u")]
            return decisions.Decision(user=user, audiences=frozenset(), expires=2**40, bonds=bonds)

        for number in range(250):
            assert known.keep(authn.digest(str(number)), decision())
        assert len(known) == 100
        assert known.find(authn.digest("0")) is None
        assert known.find(authn.digest("249")) is not None
    finally:
        await opened.close()
