"""What can go wrong with the store; a class exists where a caller acts on it."""


class StoreError(Exception):
    """The store cannot do what was asked; the text says what, why and what helps."""


class Locked(StoreError):
    """Another process has the database."""


class Corrupt(StoreError):
    """The file is damaged or is no database of ours."""


class Full(StoreError):
    """There is no room on the disk; reads go on, writes work again when there is room."""


class Closed(StoreError):
    """The store is closed or closing."""


class Conflict(StoreError):
    """The key is not at the expected revision; `actual` is where it is, 0 when it is not there."""

    def __init__(self, *, key: str, expected: int, actual: int) -> None:
        super().__init__(f"cannot write {key}: it is at revision {actual}, not {expected}")
        self.key = key
        self.expected = expected
        self.actual = actual


class Compacted(StoreError):
    """History is asked for that is no longer kept; `oldest` is the first revision to continue from."""

    def __init__(self, *, revision: int, oldest: int) -> None:
        super().__init__(f"too old resource version: {revision} ({oldest})")
        self.revision = revision
        self.oldest = oldest


class Unavailable(StoreError):
    """The database cannot be reached, and nothing was written; it works again by itself."""


class Occupied(StoreError):
    """There is data already where an empty store is needed."""
