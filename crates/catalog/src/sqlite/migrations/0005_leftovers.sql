-- Folders of tables that are not in `tables`: not yet, or not any more.
CREATE TABLE leftovers (
    id       INTEGER PRIMARY KEY,
    database INTEGER NOT NULL,
    owner    TEXT NOT NULL,
    location TEXT
) STRICT;
