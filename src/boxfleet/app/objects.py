"""Where this Boxfleet keeps its objects, by its settings."""

from boxfleet.app import paths, settings
from boxfleet.store import where


def place(known: settings.Server) -> where.Where:
    """The store's place; raises the store's StoreError when the setting has no use as it is."""
    return where.parse(known.store, password_file=known.store_password_file, default=paths.of(known).store)
