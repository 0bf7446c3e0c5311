"""Kinds reduced to their metadata, for those who need no more of them: a cache of them stays small."""

from boxfleet.api import catalog, config, event, meta, service_account


def metadata_of(kind: type[meta.Object]) -> type[meta.Object]:
    """The kind as a type that keeps only its metadata."""
    return type(kind.__name__, (meta.Object,), {"KIND": kind.KIND, "__doc__": kind.__doc__})


class AgedEvent(meta.Object, kw_only=True):
    """An Event's age, and nothing else of it."""

    KIND = event.Event.KIND

    firstTimestamp: str | None = None
    lastTimestamp: str | None = None


# Kinds whose content no controller reads, and of which there may be many.
_REDUCED = (config.ConfigMap, config.Secret, service_account.ServiceAccount)

# Every kind but Event: nothing depends on one, and none depends on anything.
KINDS: tuple[type[meta.Object], ...] = tuple(
    metadata_of(each) if each in _REDUCED else each for each in catalog.TYPES if each is not event.Event
)


def by_name(kind: str) -> type[meta.Object]:
    """The type that stands for a kind of the catalogue here."""
    return next(each for each in KINDS if each.KIND.kind == kind)
