-- Whether the log is in charge; `created` said the same as `previous = 0`.
ALTER TABLE log DROP COLUMN created;

CREATE TABLE standing (
    only_one INTEGER PRIMARY KEY CHECK (only_one = 1),
    state TEXT NOT NULL CHECK (state IN ('live', 'arriving', 'moved'))
);

INSERT INTO standing (only_one, state) VALUES (1, 'live');
