"""What is remembered of tokens: bounded, and never longer than it holds."""

import pathlib
import time

import pytest

from boxfleet.apiserver import authn
from boxfleet.apiserver.identity import decisions
from boxfleet.kit import clock
from boxfleet.store import store

pytestmark = pytest.mark.anyio


async def test_memory_is_bounded_and_a_known_token_costs_microseconds(tmp_path: pathlib.Path) -> None:
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
        token = "x" * 1000
        known.keep(authn.digest(token), decision())
        began = time.perf_counter()
        for _ in range(2000):
            assert known.find(authn.digest(token)) is not None
        # It takes 2 to 4; a check of the signature takes 300.
        assert (time.perf_counter() - began) / 2000 < 50e-6
    finally:
        await opened.close()
