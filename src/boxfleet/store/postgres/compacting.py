"""Dropping history from the database, in steps that hold nobody up."""

import asyncpg

from boxfleet.store.postgres import connecting

# Revisions per transaction while compacting.
_COMPACT_STEP = 2000
# Revisions after which nobody can still ask what a server committed last.
_FORGET_AFTER = 10_000_000


async def run(connection: asyncpg.Connection, *, to: int) -> None:
    """Drop what is replaced or deleted up to a revision; several servers at once are harmless."""
    sql = connecting.SQL
    while True:
        async with connection.transaction():
            done = await connection.fetchval(sql["lock_compacted"])
            if done >= to:
                return
            step = min(done + _COMPACT_STEP, to)
            await connection.execute(sql["drop_replaced"], done, step)
            await connection.execute(sql["drop_deletions"], done, step)
            await connection.execute(sql["set_compacted"], step)
            await connection.execute(sql["forget_servers"], step - _FORGET_AFTER)
