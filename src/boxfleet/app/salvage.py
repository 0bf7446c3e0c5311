"""Settings for whoever stops: also when their file is broken, by what can be known otherwise.

`up` must not guess. `down` may: a Boxfleet whose settings nobody can read has to be stoppable all the same.
"""

import pathlib
import re
import shlex
from collections.abc import Mapping
from typing import Any

import yaml

from boxfleet.app import fixed, paths, settings


def load(*, flags: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[settings.All, list[str]]:
    """The settings, and in words what of their file was ignored. Raises SettingsError for flags and environment."""
    try:
        return settings.load(settings.All, flags=flags, environ=environ), []
    except settings.SettingsError:
        # Is it theirs? Then this raises as well.
        bare = settings.load(settings.All, flags=flags, environ=environ, file={})
    where = paths.of(bare)
    values, ignored = _readable(where.state / settings.FILE)
    values |= _run_folder(where.state / "services" / "agent") | _facts(where.fixed)
    return settings.load(settings.All, flags=flags, environ=environ, file=values), ignored


def _readable(path: pathlib.Path) -> tuple[dict[str, Any], list[str]]:
    """The settings of a file that can be used, and words for the rest."""
    try:
        loaded = settings.read(path)
    except settings.SettingsError as error:
        return {}, [str(error)]
    values: dict[str, Any] = {}
    ignored = []
    for name, value in loaded.items():
        try:
            values |= settings.checked({name: value}, str(path))
        except settings.SettingsError as error:
            ignored.append(str(error))
    return values, ignored


def _facts(path: pathlib.Path) -> dict[str, Any]:
    """What the first start fixed, which holds whatever the settings say."""
    try:
        loaded = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return {name: loaded[name] for name in fixed.REMEDIES if name in loaded} if isinstance(loaded, dict) else {}


def _run_folder(script: pathlib.Path) -> dict[str, Any]:
    """The run folder of the last start, by the script that s6 executes for a service."""
    try:
        found = re.search(r"^exec .* --run (.+)$", script.read_text(), re.MULTILINE)
    except (OSError, UnicodeDecodeError):
        return {}
    return {"run": shlex.split(found[1])[0]} if found else {}
