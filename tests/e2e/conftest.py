"""One Boxfleet for all end-to-end tests, made by `./run up` and taken away by `./run down --purge`."""

import pathlib
import shutil
import socket
from collections.abc import Iterator

import pytest

from boxfleet.testing import fleet as fleets


def free_port() -> int:
    """A port of loopback that nothing holds now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="session")
def fleet_home() -> Iterator[fleets.Fleet]:
    """Where the Boxfleet under test lives; nothing of it is there before or after."""
    state = pathlib.Path("/var/lib/boxfleet-e2e")
    run_directory = pathlib.Path("/run/boxfleet-e2e")
    assert not state.exists(), f"{state} is left from another run: remove it with `./run down --purge`"
    yield fleets.Fleet(
        environment={
            "BOXFLEET_STATE": str(state),
            "BOXFLEET_RUN": str(run_directory),
            "BOXFLEET_PORT": str(free_port()),
            "BOXFLEET_BRIDGE": "bfe2e0",
            "BOXFLEET_CIDR": "10.97.0.0/16",
            "BOXFLEET_CGROUP_PARENT": "/boxfleet-e2e",
            "BOXFLEET_IMAGE_CACHE": str(fleets.IMAGE_CACHE),
        },
        state=state,
        run_directory=run_directory,
    )


@pytest.fixture(scope="session")
def first_up(fleet_home: fleets.Fleet) -> Iterator[str]:
    """What the first `./run up` printed; everything is purged at the end and the machine compared."""
    before = fleets.Footprint.take(marks=fleet_home.marks)
    try:
        said = fleet_home.run("up", timeout=900).stdout
        fleet_home.boxfleet("image", "build", "examples/busybox/images/busybox.yaml")
        yield said
    finally:
        fleet_home.run("down", "--purge", timeout=300)
    after = fleets.Footprint.take(marks=fleet_home.marks)
    assert after == before
    assert not fleet_home.state.exists()
    assert not fleet_home.run_directory.exists()


@pytest.fixture
def fleet(fleet_home: fleets.Fleet, first_up: str) -> fleets.Fleet:
    """A Boxfleet that runs, with WordPress Ready when a test begins."""
    fleets.eventually(
        lambda: fleet_home.kubectl("wait", "--for=condition=Ready", "box/wordpress", "--timeout=60s"),
        within=120,
        what="WordPress Ready",
    )
    return fleet_home


@pytest.fixture
def scratch(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A folder for manifests."""
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)
