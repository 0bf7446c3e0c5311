-- The schema as it is after all migrations, for people to read. A test holds it against them.

-- Every write is one row; its number is the resourceVersion. `value` of a deleted row is the last state.
-- `previous` is the revision that the row replaces, 0 for a creation.
CREATE TABLE log (
    revision INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    previous INTEGER NOT NULL,
    deleted INTEGER NOT NULL
);

-- One row: history up to this revision is incomplete.
CREATE TABLE compaction (
    only_one INTEGER PRIMARY KEY CHECK (only_one = 1),
    revision INTEGER NOT NULL
);

-- One row: whether servers may use the log. A copy that is not yet in charge is arriving, one that no longer is, moved.
CREATE TABLE standing (
    only_one INTEGER PRIMARY KEY CHECK (only_one = 1),
    state TEXT NOT NULL CHECK (state IN ('live', 'arriving', 'moved'))
);
