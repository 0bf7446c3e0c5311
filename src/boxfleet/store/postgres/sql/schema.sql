-- The schema as it is after all migrations, for people to read. A test holds it against them.
CREATE SCHEMA boxfleet;

-- One row: how many migrations have been applied.
CREATE TABLE boxfleet.migration (
    only_one integer PRIMARY KEY CHECK (only_one = 1),
    version integer NOT NULL
);

-- Every write is one row; its number is the resourceVersion. `value` of a deleted row is the last state.
-- `previous` is the revision that the row replaces, 0 for a creation.
CREATE TABLE boxfleet.log (
    revision bigint PRIMARY KEY,
    key text COLLATE "C" NOT NULL,
    value bytea NOT NULL,
    previous bigint NOT NULL,
    deleted boolean NOT NULL
);

CREATE INDEX log_by_key ON boxfleet.log (key, revision);

-- One row: the newest revision. Whoever writes locks it first, so that commits follow each other in order of revisions.
CREATE TABLE boxfleet.head (
    only_one integer PRIMARY KEY CHECK (only_one = 1),
    revision bigint NOT NULL
);

-- One row: history up to this revision is incomplete.
CREATE TABLE boxfleet.compaction (
    only_one integer PRIMARY KEY CHECK (only_one = 1),
    revision bigint NOT NULL
);

-- One row: whether servers may use the log. A copy that is not yet in charge is arriving, one that no longer is, moved.
CREATE TABLE boxfleet.standing (
    only_one integer PRIMARY KEY CHECK (only_one = 1),
    state text NOT NULL CHECK (state IN ('live', 'arriving', 'moved'))
);

-- The last batch that each server committed: one that lost its connection while committing looks here.
CREATE TABLE boxfleet.server (
    id uuid PRIMARY KEY,
    batch bigint NOT NULL,
    revision bigint NOT NULL
);
