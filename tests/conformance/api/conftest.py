"""The two servers that the same tests are put to: Boxfleet's, and a real kube-apiserver that proves the tests."""

import asyncio
import pathlib
import secrets
import threading
from collections.abc import Callable, Iterator

import pytest
from tests.conformance.api import spaces, wire

from boxfleet.store import settings as store_settings
from boxfleet.testing import server as boxfleet_server
from boxfleet.testing.kubernetes import programs
from boxfleet.testing.kubernetes import server as kubernetes_server

# Short, so that a test can outlive it.
_HISTORY = 400


class _Hosted:
    """Boxfleet's API on a socket, on a thread with a loop of its own."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="boxfleet")
        self._loop: asyncio.AbstractEventLoop
        self._end: asyncio.Event
        self.socket: boxfleet_server.Socket

    def start(self) -> None:
        self._thread.start()
        assert self._up.wait(60), "the server did not start"

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(30)

    async def _serve(self) -> None:
        settings = store_settings.Settings(history_changes=_HISTORY)
        async with (
            boxfleet_server.running(self._folder, settings=settings) as running,
            boxfleet_server.on_socket(running, self._folder) as self.socket,
        ):
            self._loop = asyncio.get_running_loop()
            self._end = asyncio.Event()
            self._up.set()
            await self._end.wait()


def _write_much(api: wire.Api) -> None:
    path = "/api/v1/namespaces/default/configmaps"
    api.post(path, {"metadata": {"name": "much"}})
    for number in range(_HISTORY + 10):
        api.patch(f"{path}/much", {"data": {"n": str(number)}}).ok()


@pytest.fixture(scope="session")
def boxfleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[wire.Api]:
    hosted = _Hosted(tmp_path_factory.mktemp("boxfleet"))
    hosted.start()
    api = wire.Api(
        name="boxfleet",
        url=hosted.socket.url,
        ca_file=hosted.socket.ca_file,
        token=boxfleet_server.ADMIN_TOKEN,
        forget=_write_much,
    )
    yield api
    api.close()
    hosted.stop()


@pytest.fixture(scope="session")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[wire.Api]:
    with kubernetes_server.running(tmp_path_factory.mktemp("kubernetes")) as running:
        api = wire.Api(
            name="kubernetes",
            url=running.url,
            ca_file=running.ca_file,
            token=kubernetes_server.ADMIN_TOKEN,
            forget=lambda _: running.compact(),
        )
        yield api
        api.close()


@pytest.fixture(
    scope="session",
    params=[
        "boxfleet",
        pytest.param(
            "kubernetes",
            marks=[
                pytest.mark.kubernetes("kube-apiserver"),
                pytest.mark.skipif(bool(programs.lacking()), reason=f"this machine lacks {programs.lacking()}"),
            ],
        ),
    ],
)
def api(request: pytest.FixtureRequest) -> wire.Api:
    """Each server in turn."""
    found: wire.Api = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def space(api: wire.Api) -> spaces.Space:
    """A namespace of the test's own."""
    return spaces.make(api, f"t-{secrets.token_hex(5)}")


@pytest.fixture
def make_space(api: wire.Api) -> Callable[[], spaces.Space]:
    """More of them."""
    return lambda: spaces.make(api, f"t-{secrets.token_hex(5)}")
