"""The README and the pages of docs/ do what they say, command by command, on a real Boxfleet."""

import os
import pathlib
import re
import time

import pytest
from tests.docs import pages, terminal

from boxfleet.testing import fleet as fleets

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

# Commands that only look are asked again until they say what the page says: the world takes its moment.
_LOOKS = re.compile(
    r"(kubectl (get|describe|logs|wait|exec \S+ -- (getent|grep|cat))|boxfleet (status|tree)|curl -sL? http)"
)
_PATIENCE = 60.0
_COMMAND_TIMEOUT = 600.0


class Reader:
    """Somebody who follows a page on a machine where the folders and addresses are other than the usual ones."""

    def __init__(self, fleet: fleets.Fleet, home: pathlib.Path) -> None:
        shell = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"} | fleet.environment
        shell["PATH"] = f"{pages.REPOSITORY / '.venv/bin'}:{shell['PATH']}"
        self._terminal = terminal.Terminal(home=home, folder=pages.REPOSITORY, environment=shell)
        self._addresses: dict[str, str] = {}
        # The first that fits counts.
        self._folders = {
            "/var/lib/boxfleet/images": fleet.environment["BOXFLEET_IMAGE_CACHE"],
            "/var/lib/boxfleet": str(fleet.state),
            "/run/boxfleet": str(fleet.run_directory),
            "/tmp": str(home),
        }
        self._port = fleet.environment["BOXFLEET_PORT"]

    def follow(self, step: pages.Step) -> None:
        """Run one command and hold its output against the page."""
        command = pages.localized(step.command, self._addresses, self._folders)
        promised = [self._as_here(line) for line in step.output or []]
        end = time.monotonic() + (_PATIENCE if _LOOKS.match(command) else 0)
        while True:
            code, said = self._terminal.run(command, timeout=_COMMAND_TIMEOUT)
            pairs = [] if step.output is None else pages.match(promised, said)
            if code == step.exit_code and pairs is not None:
                self._addresses |= pages.learn(pairs)
                return
            if time.monotonic() > end:
                break
            time.sleep(0.5)
        shown = "\n".join(said)
        pytest.fail(f"line {step.line}: {step.command}\nended with {code} and said:\n{shown}", pytrace=False)

    def _as_here(self, line: str) -> str:
        for wrote, is_now in (*self._folders.items(), (":7443", f":{self._port}"), ("10.88.0.0/16", "10.94.0.0/16")):
            line = line.replace(wrote, is_now)
        return line


def _follow(page: pathlib.Path, fleet: fleets.Fleet, home: pathlib.Path) -> None:
    reader = Reader(fleet, home)
    for step in pages.steps(page.read_text()):
        reader.follow(step)


def test_the_readme(docs_fleet: fleets.Fleet, short_dir: pathlib.Path) -> None:
    _follow(pages.REPOSITORY / "README.md", docs_fleet, short_dir)
    assert not docs_fleet.state.exists()


RUNNING = sorted(page for page in (pages.REPOSITORY / "docs").glob("*.md") if pages.steps(page.read_text()))


@pytest.mark.parametrize("page", RUNNING, ids=lambda page: page.name)
def test_a_page(page: pathlib.Path, docs_fleet: fleets.Fleet, short_dir: pathlib.Path) -> None:
    if docs_fleet.state.exists():
        docs_fleet.boxfleet("down", "--purge")
    docs_fleet.boxfleet("up")
    _follow(page, docs_fleet, short_dir)
