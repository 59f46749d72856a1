-- When something of an object was last dropped: of the system a database, of a database a table.
CREATE TABLE drops (
    object_kind TEXT NOT NULL,
    object_id   INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    PRIMARY KEY (object_kind, object_id)
) STRICT, WITHOUT ROWID;
