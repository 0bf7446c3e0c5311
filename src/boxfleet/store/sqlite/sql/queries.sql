-- name: append
-- One write. The caller has assigned the revision and checked what it replaces.
INSERT INTO log (revision, key, value, previous, deleted) VALUES (?, ?, ?, ?, ?);

-- name: live
-- The rows that nothing has replaced or deleted: the state of the world. Sought by what was replaced, which is a third
-- of the work of seeking the newest of each key.
SELECT key, revision, value FROM log
WHERE NOT deleted AND revision NOT IN (SELECT previous FROM log WHERE previous > 0);

-- name: history
-- The newest rows after the compacted part, newest first, with the state that each replaced.
SELECT log.revision, log.key, log.value, before.value, log.previous, log.deleted
FROM log
LEFT JOIN log AS before ON before.revision = log.previous
WHERE log.revision > (SELECT revision FROM compaction)
ORDER BY log.revision DESC
LIMIT ?;

-- name: head
-- The revision of the newest write; a compacted deletion may have been it.
SELECT max(coalesce((SELECT max(revision) FROM log), 0), (SELECT revision FROM compaction));

-- name: compacted
-- Up to where history is incomplete.
SELECT revision FROM compaction;

-- name: drop_replaced
-- Rows that a row between two revisions (exclusive, inclusive) replaced.
DELETE FROM log WHERE revision IN (
    SELECT previous FROM log WHERE revision > ? AND revision <= ? AND previous > 0
);

-- name: drop_deletions
-- Deletions between two revisions (exclusive, inclusive).
DELETE FROM log WHERE revision > ? AND revision <= ? AND deleted;

-- name: set_compacted
-- Remember up to where history is incomplete.
UPDATE compaction SET revision = ?;

-- name: standing
-- Whether the log is in charge.
SELECT state FROM standing;

-- name: set_standing
-- Put the log in charge, or out of it.
UPDATE standing SET state = ?;

-- name: rows
-- The whole log, for a copy of it.
SELECT revision, key, value, previous, deleted FROM log ORDER BY revision;

-- name: clear
-- Make room for another log.
DELETE FROM log;

-- name: stretch
-- A row of so many bytes, to be undone.
INSERT INTO log (revision, key, value, previous, deleted) VALUES (-1, '', zeroblob(?), 0, 0);
