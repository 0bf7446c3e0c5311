"""``boxfleet store move``, ``boxfleet backup`` and ``boxfleet restore``."""

import asyncio
import pathlib

from boxfleet.app import moving, settings
from boxfleet.cli import options, output


def move(known: settings.All, *, to: str, password_file: str) -> int:
    """Bring all objects to another store."""
    # Services run in another folder than the shell.
    file = str(pathlib.Path(password_file).absolute()) if password_file else ""
    asyncio.run(moving.move(known, to=to, password_file=file, say=output.say))
    return 0


def backup(known: settings.All, file: str, form: options.Format) -> int:
    """Write all objects and their history to a file."""
    header = asyncio.run(moving.back_up(known, pathlib.Path(file)))
    if form is options.Format.TEXT:
        output.say(f"{file} holds revision {header.revision}, and every one back to {header.compacted}")
    else:
        output.data({"file": file, "revision": header.revision, "oldest": header.compacted, "made": header.made}, form)
    return 0


def restore(known: settings.All, file: str, revision: int | None, form: options.Format) -> int:
    """Fill the empty store from a file."""
    count = asyncio.run(moving.restore(known, pathlib.Path(file), revision=revision))
    if form is options.Format.TEXT:
        output.say(f"restored {count} objects; start Boxfleet: boxfleet up")
    else:
        output.data({"file": file, "objects": count}, form)
    return 0
