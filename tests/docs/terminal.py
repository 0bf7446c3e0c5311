"""A shell that keeps its variables and its folder from command to command."""

import pathlib
import shlex
import subprocess
from collections.abc import Mapping


class Terminal:
    """Runs one command after the other, as somebody who follows a page does."""

    def __init__(self, *, home: pathlib.Path, folder: pathlib.Path, environment: Mapping[str, str]) -> None:
        self._variables, self._folder = home / "variables", home / "folder"
        self._variables.write_text("")
        self._folder.write_text(f"{folder}\n")
        self._environment = dict(environment)

    def run(self, command: str, *, timeout: float) -> tuple[int, list[str]]:
        """The exit code and the lines of both outputs."""
        variables, folder = shlex.quote(str(self._variables)), shlex.quote(str(self._folder))
        keep = f"code=$?; export -p >{variables}; pwd >{folder}; exit $code"
        script = f'. {variables}\ncd "$(cat {folder})"\n{command}\n{keep}'
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", script],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
        return done.returncode, done.stdout.splitlines()
