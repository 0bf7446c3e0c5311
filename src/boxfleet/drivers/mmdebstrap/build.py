"""Building images from recipes: the driver's entry point."""

import asyncio
import errno
import os
import pathlib

import msgspec

from boxfleet.drivers.mmdebstrap import archive, cache, faults, host, mmdebstrap, source
from boxfleet.kit import clock

DEFAULT_CACHE = pathlib.Path("~/.cache/boxfleet/images")


class BuiltImage(msgspec.Struct, frozen=True, kw_only=True):
    """An image as an OCI archive. `digest` is the manifest's; `size` of the archive in bytes."""

    reference: str
    archive_path: str
    digest: str
    size: int
    # Whether it was there before.
    cached: bool


async def find(recipe_path: pathlib.Path, *, cache_dir: pathlib.Path = DEFAULT_CACHE) -> BuiltImage | None:
    """The image of a recipe if it was built before; raises as `build` does for a recipe that is wrong."""
    wanted = await asyncio.to_thread(source.read, recipe_path)
    key, _ = await _key(wanted)
    return _found(cache.Cache(cache_dir.expanduser()), key)


async def build(
    recipe_path: pathlib.Path,
    *,
    cache_dir: pathlib.Path = DEFAULT_CACHE,
    progress: mmdebstrap.Progress,
    refresh: bool = False,
    clock: clock.Clock = clock.SystemClock(),  # noqa: B008
) -> BuiltImage:
    """Build the image of a recipe, or take it from the cache.

    The cache knows an image by its recipe, the files beside it, suite and architecture. Newer packages in the
    archives do not make it stale: `refresh` asks them, and builds anew if any was released since.
    `progress` gets lines for people.
    Raises BuildError, or InvalidRecipeError for a recipe whose fields are wrong.
    """
    wanted = await asyncio.to_thread(source.read, recipe_path)
    reference = wanted.recipe.reference
    key, suite = await _key(wanted)
    store = cache.Cache(cache_dir.expanduser())
    found = None if refresh else _found(store, key)
    if found:
        return found
    _check_machine(reference)
    started = clock.monotonic()
    try:
        async with store.work(
            key, clock=clock, waiting=lambda: progress(f"{reference}: waiting for another build of it")
        ) as work:
            # Another process may have built it while this one waited for the lock.
            found = None if refresh else _found(store, key)
            if found:
                return found
            sources = await host.stage(suite, folder=work / "apt")
            releases = await host.releases(folder=work / "apt")
            known = store.find(key)
            if known and known.releases == releases:
                progress(f"{reference}: nothing new in the archives of {suite}")
                return _image(store, key, known, cached=True)
            source_date = wanted.recipe.sourceDate or releases.get(suite) or min(releases.values())
            progress(f"{reference}: building from {suite}, {len(wanted.recipe.packages)} packages named")
            layer = await mmdebstrap.run(
                wanted,
                suite=suite,
                source_date=source_date,
                apt_conf=work / "apt" / "apt.conf",
                sources=sources,
                work=work,
                progress=lambda line: progress(f"{reference}: {line}"),
            )
            packed = work / "image.tar"
            written = await asyncio.to_thread(
                archive.write,
                packed,
                layer=layer,
                wanted=wanted.recipe,
                architecture=await host.architecture(),
                source_date=source_date,
            )
            record = cache.Record(
                reference=reference,
                digest=written.digest,
                size=written.size,
                suite=suite,
                source_date=source_date,
                releases=releases,
            )
            store.store(key, archive=packed, record=record)
    except OSError as error:
        advice = "free about 2 GB there or choose another folder" if error.errno == errno.ENOSPC else "mend that"
        raise faults.BuildError(
            f"cannot build {reference} in {cache_dir}: {error.strerror or error}: {advice}"
        ) from error
    seconds = clock.monotonic() - started
    progress(f"{reference}: built in {seconds:.0f} s, {written.size / 2**20:.0f} MiB")
    return _image(store, key, record, cached=False)


async def _key(wanted: source.Source) -> tuple[str, str]:
    """The key of a recipe in the cache, and its suite."""
    suite = wanted.recipe.suite or host.suite()
    fingerprint = wanted.fingerprint(suite=suite, architecture=await host.architecture())
    return f"{wanted.recipe.name.replace('/', '_')}-{fingerprint}", suite


def _found(store: cache.Cache, key: str) -> BuiltImage | None:
    record = store.find(key)
    return _image(store, key, record, cached=True) if record else None


def _image(store: cache.Cache, key: str, record: cache.Record, *, cached: bool) -> BuiltImage:
    return BuiltImage(
        reference=record.reference,
        archive_path=str(store.archive(key)),
        digest=record.digest,
        size=record.size,
        cached=cached,
    )


def _check_machine(reference: str) -> None:
    if os.geteuid() != 0:
        raise faults.BuildError(
            f"cannot build {reference}: building an image needs root (it unpacks packages with their owners): "
            "run the command with sudo"
        )
    missing = host.missing_tools()
    if missing:
        raise faults.BuildError(
            f"cannot build {reference}: {', '.join(missing)} missing: run `apt-get install mmdebstrap zstd`"
        )
