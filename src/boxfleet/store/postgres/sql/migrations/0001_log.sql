-- The log, its head, how far it is compacted, whether it is in charge, and what each server committed last.
CREATE SCHEMA boxfleet;

CREATE TABLE boxfleet.migration (
    only_one integer PRIMARY KEY CHECK (only_one = 1),
    version integer NOT NULL
);

INSERT INTO boxfleet.migration (only_one, version) VALUES (1, 0);

CREATE TABLE boxfleet.log (
    revision bigint PRIMARY KEY,
    key text COLLATE "C" NOT NULL,
    value bytea NOT NULL,
    previous bigint NOT NULL,
    deleted boolean NOT NULL
);

CREATE INDEX log_by_key ON boxfleet.log (key, revision);

CREATE TABLE boxfleet.head (
    only_one integer PRIMARY KEY CHECK (only_one = 1),
    revision bigint NOT NULL
);

INSERT INTO boxfleet.head (only_one, revision) VALUES (1, 0);

CREATE TABLE boxfleet.compaction (
    only_one integer PRIMARY KEY CHECK (only_one = 1),
    revision bigint NOT NULL
);

INSERT INTO boxfleet.compaction (only_one, revision) VALUES (1, 0);

CREATE TABLE boxfleet.standing (
    only_one integer PRIMARY KEY CHECK (only_one = 1),
    state text NOT NULL CHECK (state IN ('live', 'arriving', 'moved'))
);

INSERT INTO boxfleet.standing (only_one, state) VALUES (1, 'live');

CREATE TABLE boxfleet.server (
    id uuid PRIMARY KEY,
    batch bigint NOT NULL,
    revision bigint NOT NULL
);
