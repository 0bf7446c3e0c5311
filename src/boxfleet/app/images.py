"""Images of this machine's node: built from recipes, imported, listed, removed, straight through its containerd."""

import contextlib
import pathlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

import msgspec

from boxfleet.api import recipe
from boxfleet.app import host, paths, settings
from boxfleet.drivers.mmdebstrap import build as builder
from boxfleet.drivers.mmdebstrap import faults
from boxfleet.kit import daemon, durable, tasks
from boxfleet.ports import runtime

Say = Callable[[str], None]

# Images imported at once: unpacking one keeps a core busy, and the disk has its limits too.
_IMPORTS = 2


class ImageError(Exception):
    """Something cannot be done with images; the text says why and what to do."""


def recipes_in(places: Iterable[pathlib.Path]) -> list[pathlib.Path]:
    """Recipe files from files and folders. Raises ImageError when a place has none."""
    found: list[pathlib.Path] = []
    for place in places:
        if place.is_dir():
            here = sorted(path for path in place.iterdir() if path.suffix in (".yaml", ".yml") and _is_recipe(path))
            if not here and (place / "images").is_dir():
                here = recipes_in([place / "images"])
            if not here:
                raise ImageError(f"there is no recipe in {place}: a recipe is a YAML file of kind {recipe.KIND}")
            found += here
        elif place.is_file():
            found.append(place)
        else:
            raise ImageError(f"there is no {place}")
    return found


def _is_recipe(path: pathlib.Path) -> bool:
    return any(line.rstrip() == f"kind: {recipe.KIND}" for line in path.read_text(errors="replace").splitlines())


async def build(
    known: settings.All, recipes: Sequence[pathlib.Path], *, refresh: bool, load: bool, say: Say
) -> list[builder.BuiltImage]:
    """Build what the cache has not, one after the other, and import what the node has not. Raises ImageError."""
    made = []
    for path in recipes:
        try:
            made.append(await builder.build(path, cache_dir=host.image_cache(known), progress=say, refresh=refresh))
        except recipe.InvalidRecipeError as error:
            lines = "".join(f"\n  {each.field}: {each.message}" for each in error.errors)
            raise ImageError(f"{path} cannot be built:{lines}") from None
        except faults.BuildError as error:
            raise ImageError(f"{path}: {error}") from None
    if load and is_running(known):
        await _import(known, made, say=say)
    return made


async def _import(known: settings.All, made: Iterable[builder.BuiltImage], *, say: Say) -> None:
    """Import what the node has not, or has of another build: the engine does not tell builds of one name apart."""
    memory = paths.of(known).imported
    try:
        digests = msgspec.json.decode(memory.read_bytes(), type=dict[str, str])
    except (FileNotFoundError, msgspec.DecodeError):
        digests = {}
    async with _store(known) as images:

        async def take_in(each: builder.BuiltImage) -> None:
            if digests.get(each.reference) != each.digest or await images.find(each.reference) is None:
                say(f"{each.reference}: importing")
                await images.load(each.archive_path)
                digests[each.reference] = each.digest
                durable.write(memory, msgspec.json.encode(digests))

        await tasks.gather((take_in(each) for each in made), limit=_IMPORTS)


async def load(known: settings.All, archives: Iterable[pathlib.Path]) -> list[str]:
    """Import OCI archives; the names they brought."""
    names: list[str] = []
    async with _store(known) as images:
        for archive in archives:
            if not archive.is_file():
                raise ImageError(f"there is no {archive}")
            names += await images.load(str(archive.absolute()))
    return names


async def show(known: settings.All) -> Sequence[runtime.Image]:
    """All images of the node."""
    async with _store(known) as images:
        return await images.list()


async def remove(known: settings.All, references: Iterable[str]) -> None:
    """Remove images; raises ImageError for one that is not there."""
    async with _store(known) as images:
        for reference in references:
            if await images.find(reference) is None:
                raise ImageError(f"there is no image {reference}; boxfleet image list shows what is there")
            await images.remove(reference)


def is_running(known: settings.All) -> bool:
    """Whether this machine's node has its containerd."""
    return daemon.find(pathlib.Path(known.run) / "containerd.pid") is not None


@contextlib.asynccontextmanager
async def _store(known: settings.All) -> AsyncIterator[runtime.Images]:
    if not is_running(known):
        raise ImageError("no node of Boxfleet runs here: start it with boxfleet up")
    engines = host.wire(known, told=lambda _: None)
    try:
        yield engines.engine.images
    except runtime.RuntimeFault as error:
        raise ImageError(str(error)) from None
    finally:
        await engines.engine.close()
