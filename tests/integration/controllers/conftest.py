"""Where beds are made: on Boxfleet's own server, and tests that are marked so on a real kube-apiserver too."""

from collections.abc import Iterator

import pytest
from tests.integration.controllers import homes

from boxfleet.testing.kubernetes import programs

_HUB = pytest.param(
    homes.HUB,
    marks=[
        pytest.mark.kubernetes("kube-apiserver", "kube-controller-manager"),
        pytest.mark.skipif(bool(programs.lacking()), reason=f"this machine lacks {programs.lacking()}"),
    ],
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a marked test once for each home."""
    if metafunc.definition.get_closest_marker("both_homes") is not None:
        metafunc.parametrize("home", [homes.EMBEDDED, _HUB], indirect=True)


@pytest.fixture(autouse=True)
def home(request: pytest.FixtureRequest) -> Iterator[str]:
    """The home of this test's beds."""
    homes.present = getattr(request, "param", homes.EMBEDDED)
    yield homes.present
    homes.present = homes.EMBEDDED
