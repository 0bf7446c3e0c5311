"""Tokens of servers: who is let in by which part, for how long, and for which one machine."""

import asyncio
import datetime
import pathlib
from collections.abc import AsyncIterator

import pytest

from boxfleet.api import roles
from boxfleet.apiserver import authn
from boxfleet.app import server_tokens
from boxfleet.kit import clock
from boxfleet.store import store as stores

pytestmark = pytest.mark.anyio
_LIFE = datetime.timedelta(minutes=15)


class Hand(clock.SystemClock):
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.moment = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)

    def now(self) -> datetime.datetime:
        return self.moment


@pytest.fixture
async def store(tmp_path: pathlib.Path, anyio_backend: str) -> AsyncIterator[stores.Store]:
    opened = await stores.Store.open(tmp_path / "db")
    yield opened
    await opened.close()


async def known(tokens: server_tokens.ServerTokens, shown: str) -> authn.User | None:
    return await tokens.authenticate(authn.Shown(token=shown))


async def test_either_part_is_known_while_it_lasts(store: stores.Store) -> None:
    hand = Hand()
    tokens = server_tokens.ServerTokens(store, clock=hand)
    made = await tokens.make(life=_LIFE)
    public, _, secret = made.partition(".")
    assert server_tokens.public_part(made) == public and server_tokens.public_part(public) == ""
    for shown in (made, public):
        user = await known(tokens, shown)
        assert user is not None and user.groups == (roles.JOINING_SERVERS,)
    for wrong in (f"{public}.{'0' * 64}", f"server-bbbbbbbb.{secret}", secret, public[:-1], f"{made}0", "server-", ""):
        assert await known(tokens, wrong) is None
    assert await tokens.authenticate(authn.Shown(token=made, audiences=("other",))) is None
    assert secret not in repr(store.range("/"))
    hand.moment += _LIFE
    assert await known(tokens, made) is None and await known(tokens, public) is None
    with pytest.raises(server_tokens.Refused, match="has not ended"):
        await tokens.claim(made, claim="mine")
    # What has ended goes when the next one is made.
    await tokens.make(life=_LIFE)
    assert store.count("/") == 1


async def test_one_machine_uses_it_and_may_ask_again(store: stores.Store) -> None:
    tokens = server_tokens.ServerTokens(store, clock=Hand())
    made = await tokens.make(life=_LIFE)
    for wrong in (server_tokens.public_part(made), made[:-1], f"{server_tokens.public_part(made)}.{'0' * 64}", ""):
        with pytest.raises(server_tokens.Refused, match="only a token"):
            await tokens.claim(wrong, claim="thief")
    await tokens.claim(made, claim="mine")
    await tokens.claim(made, claim="mine")
    with pytest.raises(server_tokens.Refused, match="used already"):
        await tokens.claim(made, claim="thief")
    assert "mine" not in repr(store.range("/"))


async def test_of_many_at_once_one_gets_it(store: stores.Store) -> None:
    tokens = server_tokens.ServerTokens(store, clock=Hand())
    made = await tokens.make(life=_LIFE)
    tried = [tokens.claim(made, claim=f"machine {number}") for number in range(20)]
    ended = await asyncio.gather(*tried, return_exceptions=True)
    assert ended.count(None) == 1
    assert sum(isinstance(each, server_tokens.Refused) for each in ended) == 19
