-- Statements that are run from time to time. `plan` and `run` are JSON with a version.
CREATE TABLE schedules (
    id       INTEGER PRIMARY KEY,
    label    TEXT NOT NULL,
    owner    TEXT NOT NULL,
    created  INTEGER NOT NULL,
    next_run INTEGER,
    busy     INTEGER NOT NULL,
    plan     TEXT NOT NULL,
    run      TEXT NOT NULL
) STRICT;
