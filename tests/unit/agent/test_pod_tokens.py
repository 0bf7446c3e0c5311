"""When an agent asks for the tokens of a Pod, by a clock that the test turns."""

import asyncio
import datetime
import pathlib
from collections.abc import AsyncIterator

import pytest

from boxfleet.agent import tokens
from boxfleet.agent.volumes import manager
from boxfleet.api import meta, service_account
from boxfleet.api import pod as pods
from boxfleet.client import client, errors
from boxfleet.kit import clock
from boxfleet.planning import pod_tokens
from boxfleet.testing import cuttable, server

pytestmark = pytest.mark.anyio

LIFE = 3600.0


class Ahead(clock.SystemClock):
    """The machine's clock, some seconds ahead."""

    ahead = 0.0

    def now(self) -> datetime.datetime:
        return super().now() + datetime.timedelta(seconds=self.ahead)


class Bed:
    """A Pod that wants a token, and the API that gives it."""

    def __init__(self, api: server.Api, folder: pathlib.Path, pod: pods.Pod) -> None:
        self.via = cuttable.Cuttable(api.node._via)
        self.clock = Ahead()
        self.pod = pod
        self.volumes = manager.Volumes(folder / "pods", claim_folder=lambda _namespace, _name: folder)
        self.held = self.new()

    def new(self) -> tokens.PodTokens:
        return tokens.PodTokens(client.Client(self.via), self.volumes, self.pod, clock=self.clock, changed=lambda: None)

    async def token(self) -> pod_tokens.Token | None:
        """What there is after asking, if it is time to ask."""
        async with asyncio.TaskGroup() as group:
            self.held.begin(group)
            await self.held.ready()
        return next(iter(self.held.known.values()), None)


@pytest.fixture
async def bed(tmp_path: pathlib.Path, anyio_backend: str) -> AsyncIterator[Bed]:
    async with server.running(tmp_path) as api:
        robot = meta.ObjectMeta(name="robot", namespace="default")
        await api.admin.create(service_account.ServiceAccount(metadata=robot))
        source = {"serviceAccountToken": {"path": "token", "expirationSeconds": int(LIFE)}}
        spec = {
            "nodeName": server.NODE,
            "serviceAccountName": "robot",
            "automountServiceAccountToken": False,
            "containers": [{"name": "main", "image": "i"}],
            "volumes": [{"name": "own", "projected": {"sources": [source]}}],
        }
        pod = {"metadata": {"name": "one", "namespace": "default"}, "spec": spec}
        yield Bed(api, tmp_path, await api.admin.create_raw(pods.Pod, pod))


async def test_a_token_is_asked_for_again_after_four_fifths_of_its_life(bed: Bed) -> None:
    first = await bed.token()
    assert first is not None and bed.held.fresh and not bed.held.missing
    assert bed.held.due == pytest.approx(first.issued + 0.8 * LIFE, abs=2)
    bed.clock.ahead = 0.79 * LIFE
    assert await bed.token() is first
    bed.clock.ahead = 0.81 * LIFE
    second = await bed.token()
    assert second is not None and second.text != first.text
    assert bed.held.due > bed.clock.now().timestamp()


async def test_while_the_server_is_away_the_one_that_is_there_stays(bed: Bed) -> None:
    first = await bed.token()
    bed.via.cut = True
    bed.clock.ahead = 0.9 * LIFE
    assert await bed.token() is first and isinstance(bed.held.fault, errors.Unavailable)
    # It is asked for again a little later, not at once.
    assert not bed.held.missing and bed.held.due > bed.clock.now().timestamp()
    bed.via.cut = False
    assert await bed.token() is first
    bed.clock.ahead += 6
    assert await bed.token() is not first and bed.held.fault is None


async def test_an_agent_that_begins_anew_finds_the_one_in_the_volume(bed: Bed) -> None:
    first = await bed.token()
    assert first is not None
    folder = bed.volumes.folder(bed.pod.metadata.uid).volume("own")
    folder.mkdir(parents=True)
    (folder / "token").write_text(first.text)
    bed.via.cut = True
    bed.held = bed.new()
    found = await bed.token()
    assert found is not None and found.text == first.text
    assert bed.held.due == pytest.approx(first.issued + 0.8 * LIFE, abs=2)
    # One that has nothing is without, and says why.
    (folder / "token").unlink()
    bed.held = bed.new()
    assert await bed.token() is None and bed.held.missing and bed.held.fault is not None
