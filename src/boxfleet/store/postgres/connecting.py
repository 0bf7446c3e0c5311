"""Connections to PostgreSQL: where it is, how a session must behave, and its errors in our own words."""

import asyncio
import contextlib
from collections.abc import Iterator

import asyncpg
import structlog

from boxfleet.store import errors, queries
from boxfleet.store import settings as settings_
from boxfleet.store import where as places

log = structlog.get_logger()

# What tells that the connection, and not the statement, has failed.
LOST = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    # A primary that has become a standby: another one is the primary now.
    asyncpg.ReadOnlySQLTransactionError,
)
_FULL = (asyncpg.DiskFullError, asyncpg.OutOfMemoryError)
SQL = queries.named("postgres")
# The oldest that is tested, as in server_version_num.
_OLDEST = 150000


async def connect(where: places.Postgres, *, settings: settings_.Settings) -> asyncpg.Connection:
    """A session that keeps what an acknowledgement promises. Raises `errors.StoreError` or one of `LOST`."""
    try:
        connection = await asyncpg.connect(
            where.url,
            password=where.password if where.password_file is not None else None,
            timeout=settings.answer_seconds,
            target_session_attrs=asyncpg.connect_utils.SessionAttribute.read_write,
            server_settings={
                "application_name": "boxfleet",
                "default_transaction_isolation": "read committed",
                # Compiling takes longer than any of our statements.
                "jit": "off",
                # Another server must not wait for one that stands still while it holds the head.
                "idle_in_transaction_session_timeout": str(int(settings.stall_seconds * 1000)),
                "lock_timeout": str(int(settings.answer_seconds * 800)),
                # A session whose client is gone lets go of its locks.
                "client_connection_check_interval": "1000",
            },
        )
    except asyncpg.ClientConfigurationError as error:
        raise errors.StoreError(f"cannot open {where}: {error}") from None
    except LOST:
        raise
    except (asyncpg.PostgresError, ValueError) as error:
        raise errors.StoreError(f"cannot open {where}: {error}") from None
    try:
        facts = await connection.fetchrow(SQL["facts"])
        assert facts is not None
        if facts["version"] < _OLDEST or facts["encoding"] != "UTF8":
            raise errors.StoreError(
                f"cannot open {where}: it is PostgreSQL {facts['version'] // 10000} with encoding "
                f"{facts['encoding']}; take PostgreSQL {_OLDEST // 10000} or later and a database with UTF8"
            )
        if facts["synchronous_commit"] in ("off", "local"):
            # What was acknowledged must be on disk, whatever the database's owner prefers for others.
            await connection.execute("SET synchronous_commit = on")
        if facts["fsync"] != "on":
            log.warning("the database loses acknowledged writes when its machine fails", setting="fsync = off")
    except BaseException:
        connection.terminate()
        raise
    return connection


async def migrate(connection: asyncpg.Connection, *, where: places.Postgres) -> None:
    """Bring the schema up to date; several servers at once are harmless."""
    steps = queries.migrations("postgres")
    with told("prepare", where):
        async with connection.transaction():
            await connection.execute(SQL["lock_migration"])
            version = await connection.fetchval(SQL["version"]) if await connection.fetchval(SQL["migrated"]) else 0
            if version > len(steps):
                raise errors.StoreError(
                    f"cannot open {where}: it was written by a newer Boxfleet (schema {version}, this one knows "
                    f"{len(steps)}); install that version again"
                )
            for script in steps[version:]:
                await connection.execute(script)
            if version < len(steps):
                await connection.execute(SQL["set_version"], len(steps))


@contextlib.contextmanager
def told(action: str, where: places.Postgres) -> Iterator[None]:
    """Turn the database's errors into ours; a lost connection into Unavailable."""
    try:
        yield
    except LOST as error:
        raise errors.Unavailable(f"cannot {action} {where}: {cause(error)}") from error
    except asyncpg.PostgresError as error:
        raise explain(error, action=action, where=where) from error


def explain(error: asyncpg.PostgresError, *, action: str, where: places.Postgres) -> errors.StoreError:
    """A refused statement."""
    if isinstance(error, _FULL):
        return errors.Full(f"cannot {action} {where}: its disk is full ({error}); make room and try again")
    if isinstance(error, asyncpg.LockNotAvailableError):
        return errors.Unavailable(f"cannot {action} {where}: another session holds it; try again")
    if isinstance(error, asyncpg.DataCorruptedError | asyncpg.IndexCorruptedError):
        return errors.Corrupt(f"cannot {action} {where}: it is damaged ({error}); restore it from a backup")
    return errors.StoreError(f"cannot {action} {where}: {error}")


def cause(error: BaseException) -> str:
    """A lost connection, for people."""
    if isinstance(error, TimeoutError | asyncio.CancelledError):
        return "it does not answer"
    return str(error) or type(error).__name__


def terminate(connection: asyncpg.Connection) -> None:
    """Cut a connection at once, without a word to the other side."""
    with contextlib.suppress(Exception):
        connection.terminate()


async def close(connection: asyncpg.Connection) -> None:
    """End a session in order, if the other side still listens."""
    try:
        async with asyncio.timeout(1.0):
            await connection.close()
    except (*LOST, asyncpg.PostgresError):
        terminate(connection)
