-- A database as the schema before the present one left it: a key that changed, one that was deleted, one compacted.
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
CREATE TABLE log (
    revision INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    previous INTEGER NOT NULL,
    created INTEGER NOT NULL,
    deleted INTEGER NOT NULL
);
CREATE INDEX log_by_key ON log (key, revision);
CREATE TABLE compaction (
    only_one INTEGER PRIMARY KEY CHECK (only_one = 1),
    revision INTEGER NOT NULL
);
INSERT INTO compaction (only_one, revision) VALUES (1, 2);
INSERT INTO log VALUES (2, '//namespaces//default', CAST('{"metadata":{"name":"default"}}' AS BLOB), 0, 1, 0);
INSERT INTO log VALUES (3, '//configmaps/default/a', CAST('{"data":{"a":"1"}}' AS BLOB), 0, 1, 0);
INSERT INTO log VALUES (4, '//configmaps/default/b', CAST('{}' AS BLOB), 0, 1, 0);
INSERT INTO log VALUES (5, '//configmaps/default/a', CAST('{"data":{"a":"2"}}' AS BLOB), 3, 0, 0);
INSERT INTO log VALUES (6, '//configmaps/default/b', CAST('{}' AS BLOB), 4, 0, 1);
PRAGMA user_version = 1;
