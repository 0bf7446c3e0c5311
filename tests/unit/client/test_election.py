"""Elections on the real API: one leads, another takes over, and who cannot renew stops first."""

import asyncio
import contextlib
import datetime
import pathlib
from collections.abc import AsyncIterator

import pytest

from boxfleet.api import lease
from boxfleet.client import client, election, errors
from boxfleet.testing import server

pytestmark = pytest.mark.anyio

_QUICK = election.Settings(duration=0.3, deadline=0.2, retry=0.02)


class _Clock:
    """The event loop's time, with a wall clock that is somewhere else for each candidate."""

    def __init__(self, wall: datetime.datetime) -> None:
        self._wall = wall

    def now(self) -> datetime.datetime:
        return self._wall

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Cut(client.Client):
    """A client whose server can be taken away."""

    def __init__(self, whole: client.Client) -> None:
        self._whole = whole
        self.cut = False

    def __getattribute__(self, name: str):
        if name in ("find", "patch", "create_raw"):
            if self.cut:
                raise errors.Unavailable(code=503, reason="", message="cut off")
            return getattr(self._whole, name)
        return super().__getattribute__(name)


@pytest.fixture
async def api(tmp_path: pathlib.Path, anyio_backend: str) -> AsyncIterator[client.Client]:
    async with server.running(tmp_path) as running:
        yield running.admin


class _Candidate:
    def __init__(self, api: client.Client, name: str, at_work: list[str], *, year: int = 2026) -> None:
        self.api = _Cut(api)
        self._name = name
        self._at_work = at_work
        clock = _Clock(datetime.datetime(year, 1, 1, tzinfo=datetime.UTC))
        self._election = election.Election(
            self.api, name="office", namespace="kube-system", identity=name, clock=clock, settings=_QUICK
        )

    async def run(self) -> None:
        await self._election.lead(self._work)

    async def _work(self) -> None:
        assert not self._at_work, "two lead at the same time"
        self._at_work.append(self._name)
        try:
            await asyncio.Event().wait()
        finally:
            self._at_work.remove(self._name)


@contextlib.asynccontextmanager
async def _running(*candidates: _Candidate) -> AsyncIterator[list["asyncio.Task[None]"]]:
    tasks = [asyncio.create_task(candidate.run()) for candidate in candidates]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _until(at_work: list[str], wanted: list[str]) -> None:
    async with asyncio.timeout(20):
        while at_work != wanted:
            await asyncio.sleep(0.005)


async def test_one_leads_and_the_other_follows_an_orderly_end(api: client.Client) -> None:
    at_work: list[str] = []
    first, second = _Candidate(api, "first", at_work), _Candidate(api, "second", at_work)
    async with _running(first) as [leading]:
        await _until(at_work, ["first"])
        async with _running(second):
            leading.cancel()
            await asyncio.wait([leading])
            given = await api.get(lease.Lease, "office", namespace="kube-system")
            assert given.spec.holderIdentity in ("", "second")
            await _until(at_work, ["second"])
            taken = await api.get(lease.Lease, "office", namespace="kube-system")
            assert taken.spec.leaseTransitions == 1


@pytest.mark.parametrize("year", [1999, 2099])
async def test_who_is_cut_off_stops_before_another_takes_over(api: client.Client, year: int) -> None:
    at_work: list[str] = []
    # Their wall clocks are decades apart.
    first, second = _Candidate(api, "first", at_work), _Candidate(api, "second", at_work, year=year)
    async with _running(first):
        await _until(at_work, ["first"])
        async with _running(second):
            first.api.cut = True
            await _until(at_work, [])
            await _until(at_work, ["second"])
            first.api.cut = False
            for _ in range(20):
                await asyncio.sleep(0.005)
                assert at_work == ["second"]


async def test_who_lost_the_lease_stops_at_once(api: client.Client) -> None:
    at_work: list[str] = []
    async with _running(_Candidate(api, "first", at_work)):
        await _until(at_work, ["first"])
        await api.patch(lease.Lease, "office", {"spec": {"holderIdentity": "usurper"}}, namespace="kube-system")
        await _until(at_work, [])
        # The usurper never renews.
        await _until(at_work, ["first"])


async def test_a_label_on_the_lease_ends_nothing(api: client.Client) -> None:
    at_work: list[str] = []
    begun = 0

    async def work() -> None:
        nonlocal begun
        begun += 1
        at_work.append("first")
        await asyncio.Event().wait()

    candidate = election.Election(
        api,
        name="office",
        namespace="kube-system",
        identity="first",
        clock=_Clock(datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)),
        settings=_QUICK,
    )
    leading = asyncio.create_task(candidate.lead(work))
    await _until(at_work, ["first"])
    for number in range(40):
        labels = {"metadata": {"labels": {"turn": str(number)}}}
        await api.patch(lease.Lease, "office", labels, namespace="kube-system")
        await asyncio.sleep(0.005)
    assert begun == 1
    leading.cancel()
    await asyncio.wait([leading])


async def test_a_failing_work_gives_the_lease_back_and_is_told(api: client.Client) -> None:
    async def fail() -> None:
        raise RuntimeError("broken")

    candidate = election.Election(
        api,
        name="office",
        namespace="kube-system",
        identity="me",
        clock=_Clock(datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)),
        settings=_QUICK,
    )
    with pytest.raises(RuntimeError, match="broken"):
        await candidate.lead(fail)
    left = await api.get(lease.Lease, "office", namespace="kube-system")
    assert left.spec.holderIdentity == ""
