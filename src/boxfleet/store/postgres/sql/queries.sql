-- name: migrated
-- Whether there is a schema of ours.
SELECT to_regclass('boxfleet.migration') IS NOT NULL;

-- name: version
-- How many migrations have been applied.
SELECT version FROM boxfleet.migration;

-- name: set_version
-- Remember how many migrations have been applied.
UPDATE boxfleet.migration SET version = $1;

-- name: facts
-- What the cluster promises, and whether servers may use the log.
SELECT current_setting('synchronous_commit') AS synchronous_commit, current_setting('fsync') AS fsync,
    current_setting('server_version_num')::integer AS version, current_setting('server_encoding') AS encoding;

-- name: live
-- The newest row of every key that is not deleted: the state of the world.
SELECT log.key, log.revision, log.value
FROM boxfleet.log
JOIN (SELECT max(revision) AS revision FROM boxfleet.log GROUP BY key) AS newest USING (revision)
WHERE NOT log.deleted;

-- name: history
-- The newest rows after the compacted part, newest first, with the state that each replaced.
SELECT log.revision, log.key, log.value, before.value AS before, log.previous, log.deleted
FROM boxfleet.log
LEFT JOIN boxfleet.log AS before ON before.revision = log.previous
WHERE log.revision > (SELECT revision FROM boxfleet.compaction)
ORDER BY log.revision DESC
LIMIT $1;

-- name: head
-- The newest revision.
SELECT revision FROM boxfleet.head;

-- name: compacted
-- Up to where history is incomplete.
SELECT revision FROM boxfleet.compaction;

-- name: lock_head
-- The newest revision, which nobody else moves before this transaction ends.
SELECT revision FROM boxfleet.head FOR UPDATE;

-- name: after
-- What was written after a revision, oldest first, and up to where history is incomplete; one row when nothing was.
SELECT compaction.revision AS compacted, log.revision, log.key, log.value, log.previous, log.deleted
FROM boxfleet.compaction
LEFT JOIN boxfleet.log ON log.revision > $1
ORDER BY log.revision
LIMIT $2;

-- name: append
-- A batch of writes with the revisions up to the new head, from the server and with the number that are named.
WITH appended AS (
    INSERT INTO boxfleet.log (revision, key, value, previous, deleted)
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::bytea[], $4::bigint[], $5::boolean[])
), committed AS (
    INSERT INTO boxfleet.server (id, batch, revision) VALUES ($6, $7, $8::bigint)
    ON CONFLICT (id) DO UPDATE SET batch = excluded.batch, revision = excluded.revision
), moved AS (
    UPDATE boxfleet.head SET revision = $8::bigint
)
SELECT pg_notify('boxfleet', ($8::bigint)::text);

-- name: append_at
-- The same in one step, if the head is still where it was (the ninth); one row if so.
WITH moved AS (
    UPDATE boxfleet.head SET revision = $8::bigint WHERE revision = $9::bigint RETURNING revision
), appended AS (
    INSERT INTO boxfleet.log (revision, key, value, previous, deleted)
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::bytea[], $4::bigint[], $5::boolean[])
    WHERE EXISTS (SELECT FROM moved)
), committed AS (
    INSERT INTO boxfleet.server (id, batch, revision)
    SELECT $6::uuid, $7::bigint, moved.revision FROM moved
    ON CONFLICT (id) DO UPDATE SET batch = excluded.batch, revision = excluded.revision
)
SELECT pg_notify('boxfleet', moved.revision::text) FROM moved;

-- name: batch
-- The last batch that a server committed.
SELECT batch FROM boxfleet.server WHERE id = $1;

-- name: forget_server
-- A server that ends in order.
DELETE FROM boxfleet.server WHERE id = $1;

-- name: forget_servers
-- Servers that ended otherwise, long before a revision.
DELETE FROM boxfleet.server WHERE revision < $1;

-- name: lock_compacted
-- Up to where history is incomplete; only one server compacts at a time.
SELECT revision FROM boxfleet.compaction FOR UPDATE;

-- name: drop_replaced
-- Rows that a row between two revisions (exclusive, inclusive) replaced.
DELETE FROM boxfleet.log WHERE revision IN (
    SELECT previous FROM boxfleet.log WHERE revision > $1 AND revision <= $2 AND previous > 0
);

-- name: drop_deletions
-- Deletions between two revisions (exclusive, inclusive).
DELETE FROM boxfleet.log WHERE revision > $1 AND revision <= $2 AND deleted;

-- name: set_compacted
-- Remember up to where history is incomplete.
UPDATE boxfleet.compaction SET revision = $1;

-- name: standing
-- Whether the log is in charge.
SELECT state FROM boxfleet.standing;

-- name: set_standing
-- Put the log in charge, or out of it.
UPDATE boxfleet.standing SET state = $1;

-- name: share
-- Say that a server uses the log; false when somebody copies or replaces it. Ends with the session.
SELECT pg_try_advisory_lock_shared(1112888907, 1);

-- name: seize
-- Take the log for oneself; false when a server uses it. Ends with the session.
SELECT pg_try_advisory_lock(1112888907, 1);

-- name: lock_migration
-- One server migrates, the others wait. Ends with the transaction.
SELECT pg_advisory_xact_lock(1112888907, 2);

-- name: rows
-- The whole log, for a copy of it.
SELECT revision, key, value, previous, deleted FROM boxfleet.log ORDER BY revision;

-- name: clear
-- Make room for another log.
DELETE FROM boxfleet.log;

-- name: set_head
-- Where the next write goes on.
UPDATE boxfleet.head SET revision = $1;
