"""The audit log of this server, by its settings."""

import contextlib
import pathlib
from collections.abc import AsyncIterator

from boxfleet.api import roles
from boxfleet.apiserver.audit import auditor, files, journal, policy, sessions
from boxfleet.app import paths, settings
from boxfleet.kit import clock as clocks
from boxfleet.kit import quantity

# What Boxfleet's own parts say of themselves every few seconds, as nodes do.
_LEADING = policy.Rule(
    level="None",
    users=roles.PARTS,
    verbs=("update", "patch"),
    resources=(policy.Resources(group="coordination.k8s.io", resources=("leases",)),),
)


@contextlib.asynccontextmanager
async def opened(known: settings.Server, *, clock: clocks.Clock) -> AsyncIterator[auditor.Auditor]:
    """What records requests while the block runs. Raises SettingsError."""
    recordings = sessions.Sessions(paths.of(known).recordings, clock=clock)
    book = journal.Journal(
        paths.of(known).audit,
        server=known.node,
        clock=clock,
        keeping=keeping(known),
        flush_first=known.audit_flush == "answer",
        sessions=recordings,
    )
    made = auditor.Auditor(
        book, server=known.node, rules=_policy(known), required=known.audit_required, sessions=recordings
    )
    book.start()
    try:
        yield made
    finally:
        await book.stop()


def keeping(known: settings.Server) -> files.Keeping:
    """How long files stay. Raises SettingsError."""
    try:
        size = int(quantity.parse(known.audit_size))
    except ValueError as error:
        raise settings.SettingsError(f"audit_size = {known.audit_size!r} does not fit: {error}") from None
    return files.Keeping(seconds=known.audit_days * 86400.0, total_bytes=size)


def _policy(known: settings.Server) -> policy.Policy:
    if not known.audit_policy:
        return policy.Policy([policy.HEARTBEATS, _LEADING])
    try:
        return policy.load(pathlib.Path(known.audit_policy))
    except policy.PolicyError as error:
        raise settings.SettingsError(f"audit_policy: {error}") from None
