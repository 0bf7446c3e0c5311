"""What all tests share: one event loop flavour, no leaked tasks, short folders, and which tests a machine can run."""

import asyncio
import os
import pathlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator
from concurrent import futures

import pytest

from boxfleet.testing.kubernetes import programs

_DAEMONS = ("containerd", "runc", "dnsmasq", "s6-svscan", "ip")


@pytest.fixture
def anyio_backend() -> str:
    """Boxfleet runs on asyncio alone."""
    return "asyncio"


@pytest.fixture
async def _no_leaked_tasks(anyio_backend: str) -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    # A task that was cancelled at the very end needs a few turns of the loop to finish.
    for _ in range(20):
        leaked = {task for task in asyncio.all_tasks() - before if not _is_runners_own(task)}
        if not leaked:
            return
        await asyncio.sleep(0)
    for task in leaked:
        task.cancel()
    pytest.fail(f"the test left tasks behind: {leaked}")


def _is_runners_own(task: "asyncio.Task[object]") -> bool:
    """Whether a task is anyio's own, in which fixtures and tests run."""
    return getattr(task.get_coro(), "__qualname__", "").startswith("TestRunner.")


@pytest.fixture(autouse=True)
def _structured(request: pytest.FixtureRequest) -> None:
    """Every test on the event loop must end the tasks that it started."""
    if request.node.get_closest_marker("anyio") is not None:
        request.getfixturevalue("_no_leaked_tasks")


@pytest.fixture
def short_dir() -> Iterator[pathlib.Path]:
    """A folder with a short path, for Unix sockets: their addresses hold 107 characters at most."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="bf-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, and put whole-system tests last."""
    lacks = "root" if os.geteuid() != 0 else ", ".join(name for name in _DAEMONS if shutil.which(name) is None)
    for item in items:
        if lacks and (item.get_closest_marker("machine") or item.get_closest_marker("e2e")):
            item.add_marker(pytest.mark.skip(reason=f"this machine lacks {lacks}; ./run test installs packages"))
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    """First those that need nothing, then those that need programs that take minutes to build, whole systems last."""
    if item.get_closest_marker("e2e") is not None:
        return 2
    return 1 if _wanted(item) else 0


def _wanted(item: pytest.Item) -> set[str]:
    """The programs of Kubernetes that a test runs, on a machine that can build them."""
    if item.get_closest_marker("skipif") is not None and programs.lacking():
        return set()
    return {name for mark in item.iter_markers("kubernetes") for name in mark.args}


_BUILD = pytest.StashKey["futures.Future[None]"]()


def pytest_runtestloop(session: pytest.Session) -> None:
    """Begin to build what tests need of a real Kubernetes: it takes minutes, in which others can run."""
    wanted = {name for item in session.items for name in _wanted(item)}
    if not wanted or session.config.option.collectonly:
        return
    lacking = [name for name in sorted(wanted) if not (programs.folder() / name).exists()]
    if lacking:
        _say(session.config, f"building {', '.join(lacking)} of Kubernetes, once, beside the first tests")
    pool = futures.ThreadPoolExecutor(1, thread_name_prefix="build")
    session.config.stash[_BUILD] = pool.submit(programs.ensure, sorted(wanted))
    pool.shutdown(wait=False)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Wait for what is being built before the test's own time begins."""
    build = item.config.stash.get(_BUILD, None)
    if build is not None and _wanted(item):
        try:
            build.result()
        except programs.BuildError as error:
            # The tests that need them fail; all others still run.
            _say(item.config, str(error))
            del item.config.stash[_BUILD]
    return (yield)


def _say(config: pytest.Config, words: str) -> None:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.write_line(words)
