-- The log and how far it is compacted.
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

INSERT INTO compaction (only_one, revision) VALUES (1, 0);
