"""``boxfleet image``: build images from recipes, and look after those of this machine's node."""

import asyncio
import os
import pathlib

from boxfleet.app import images, settings
from boxfleet.cli import faults, options, output


def build(known: settings.All, recipes: list[str], *, refresh: bool, load: bool, form: options.Format) -> int:
    """Build what is missing; import it when Boxfleet runs here."""
    _require_root()
    try:
        files = images.recipes_in([pathlib.Path(each) for each in recipes])
        built = asyncio.run(images.build(known, files, refresh=refresh, load=load, say=_note(form)))
    except images.ImageError as error:
        raise faults.CommandFailed(str(error)) from None
    if form is not options.Format.TEXT:
        output.data(built, form)
    for each in built if form is options.Format.TEXT else []:
        state = "was there" if each.cached else "built"
        output.say(f"{each.reference}  {state}, {each.size / 1e6:.0f} MB, {each.archive_path}")
    return 0


def load(known: settings.All, archives: list[str], *, form: options.Format) -> int:
    """Import OCI archives."""
    _require_root()
    try:
        names = asyncio.run(images.load(known, [pathlib.Path(each) for each in archives]))
    except images.ImageError as error:
        raise faults.CommandFailed(str(error)) from None
    if form is not options.Format.TEXT:
        output.data(names, form)
    for name in names if form is options.Format.TEXT else []:
        output.say(f"{name}  imported")
    return 0


def show(known: settings.All, *, form: options.Format) -> int:
    """List images."""
    _require_root()
    try:
        found = asyncio.run(images.show(known))
    except images.ImageError as error:
        raise faults.CommandFailed(str(error)) from None
    if form is not options.Format.TEXT:
        output.data(found, form)
        return 0
    rows = [("IMAGE", "SIZE", "ID")]
    rows += [
        (name, f"{each.size / 1e6:.1f} MB", each.id.removeprefix("sha256:")[:12])
        for each in found
        for name in each.tags
    ]
    for line in output.columns([rows[0], *sorted(rows[1:])]):
        output.say(line)
    return 0


def remove(known: settings.All, references: list[str]) -> int:
    """Remove images by name."""
    _require_root()
    try:
        asyncio.run(images.remove(known, references))
    except images.ImageError as error:
        raise faults.CommandFailed(str(error)) from None
    for each in references:
        output.say(f"{each}  removed")
    return 0


def _require_root() -> None:
    if os.geteuid() != 0:
        raise faults.CommandFailed("image needs root: it works with this machine's containerd. Run it again with sudo")


def _note(form: options.Format) -> images.Say:
    return output.say if form is options.Format.TEXT else lambda _: None
