-- What tells this catalog from all others.
CREATE TABLE identity (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    value TEXT NOT NULL
) STRICT;
