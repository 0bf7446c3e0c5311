"""Machines by a script: implements `ports.provider.Provider`."""

import asyncio
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import msgspec

from boxfleet.drivers.script import program
from boxfleet.ports import provider

T = TypeVar("T")

# How it says what became of an order, besides 0.
SOLD_OUT = 10
REFUSED = 11
TRY_AGAIN = 12
_FAULTS: Mapping[int, type[provider.ProviderFault]] = {
    SOLD_OUT: provider.SoldOut,
    REFUSED: provider.Refused,
    TRY_AGAIN: provider.Unreachable,
}


class _Made(msgspec.Struct):
    id: str = ""


class _Listed(msgspec.Struct, kw_only=True):
    name: str
    fleet: str
    pool: str
    id: str = ""


class _Listing(msgspec.Struct):
    machines: list[_Listed]


class ScriptProvider:
    """Calls one program, one call after the other for each machine."""

    def __init__(
        self,
        path: pathlib.Path,
        *,
        fleet: str,
        pool: str,
        settings: Mapping[str, str],
        secret: Mapping[str, str],
        seconds: float,
        owner: int = 0,
    ) -> None:
        self._path = path
        self._given: dict[str, Any] = {
            "fleet": fleet,
            "pool": pool,
            "settings": dict(settings),
            "secret": dict(secret),
        }
        self._seconds = seconds
        self._owner = owner
        self._locks: dict[str, asyncio.Lock] = {}

    async def create(self, order: provider.Order) -> provider.Machine:
        """Verb create."""
        given = {"name": order.name} | {name: getattr(order, name) for name in ("zone", "resources", "labels")}
        async with self._lock(order.name):
            made = await self._call("create", _Made, given | {"join": msgspec.to_builtins(order.join)})
        return provider.Machine(name=order.name, id=made.id)

    async def delete(self, name: str) -> None:
        """Verb delete."""
        async with self._lock(name):
            await self._call("delete", None, {"name": name})
        self._locks.pop(name, None)

    async def list(self) -> Sequence[provider.Machine]:
        """Verb list; what is not of this fleet and pool does not count, whatever the script says."""
        found = await self._call("list", _Listing, {})
        mark = (self._given["fleet"], self._given["pool"])
        return [
            provider.Machine(name=each.name, id=each.id) for each in found.machines if (each.fleet, each.pool) == mark
        ]

    async def close(self) -> None:
        """Nothing is open between calls."""

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())

    async def _call(self, verb: str, answer: type[T] | None, given: Mapping[str, Any]) -> Any:
        if why := program.unsafe(self._path, owner=self._owner):
            raise provider.Refused(f"{why}, so it is not run")
        try:
            ended = await program.run(
                self._path, verb, msgspec.json.encode(self._given | dict(given)), seconds=self._seconds
            )
        except program.NotRun as error:
            raise provider.Unreachable(str(error)) from None
        if ended.code != 0:
            self._fail(verb, ended)
        if answer is None:
            return None
        try:
            return msgspec.json.decode(ended.output or b"{}", type=answer)
        except msgspec.DecodeError as error:
            raise provider.Unreachable(f"{self._path.name} {verb}: its answer cannot be read: {error}") from None

    def _fail(self, verb: str, ended: program.Ended) -> NoReturn:
        fault = _FAULTS.get(ended.code, provider.Unreachable)
        raise fault(f"{self._path.name} {verb}: {ended.words or f'ended with {ended.code}'}")
