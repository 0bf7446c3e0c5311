"""A place for a Boxfleet that the pages' own commands start and stop."""

import pathlib
import socket
from collections.abc import Iterator

import pytest

from boxfleet.testing import fleet as fleets


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="package")
def docs_fleet() -> Iterator[fleets.Fleet]:
    """Settings by the environment alone, so that the commands run word for word; everything is purged at the end."""
    state, run_directory = pathlib.Path("/var/lib/boxfleet-docs"), pathlib.Path("/run/boxfleet-docs")
    found = fleets.Fleet(
        environment={
            "BOXFLEET_STATE": str(state),
            "BOXFLEET_RUN": str(run_directory),
            "BOXFLEET_PORT": str(_free_port()),
            "BOXFLEET_NODE": "debian",
            "BOXFLEET_BRIDGE": "bfdocs1",
            "BOXFLEET_CIDR": "10.94.0.0/16",
            "BOXFLEET_CGROUP_PARENT": "/boxfleet-docs",
            "BOXFLEET_IMAGE_CACHE": str(fleets.IMAGE_CACHE),
        },
        state=state,
        run_directory=run_directory,
    )
    assert not state.exists(), f"{state} is left from another run: boxfleet down --purge --state {state}"
    yield found
    if state.exists() or run_directory.exists():
        found.boxfleet("down", "--purge")
    # The end-to-end tests compare the whole machine; here it is enough that nothing of this Boxfleet is left.
    left = fleets.Footprint.take(marks=found.marks)
    assert not state.exists() and not run_directory.exists()
    assert "bfdocs1" not in left.links
    assert not left.mounts and not left.processes
    assert not [path for path in left.cgroups if path.endswith("boxfleet-docs")]
