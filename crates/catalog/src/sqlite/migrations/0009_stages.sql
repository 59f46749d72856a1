-- Folders of files under names. `uri` and `definition` depend on `place`: none for internal stages, without and with
-- secrets for copied parameters, the external:// URI alone for stages that follow a connection.
CREATE TABLE stages (
    id                 INTEGER PRIMARY KEY,
    name               TEXT NOT NULL UNIQUE,
    place              TEXT NOT NULL CHECK (place IN ('internal', 'copied', 'follows')),
    uri                TEXT,
    -- Sealed.
    definition         BLOB,
    -- The connection followed, or copied from, then with its version.
    connection         TEXT,
    connection_version INTEGER,
    -- JSON with a version.
    file_format        TEXT NOT NULL,
    comment            TEXT NOT NULL,
    owner              TEXT NOT NULL,
    creator            TEXT NOT NULL,
    version            INTEGER NOT NULL CHECK (version >= 1),
    created            INTEGER NOT NULL
) STRICT;

CREATE INDEX stages_connection ON stages (connection);

CREATE TABLE file_formats (
    name    TEXT PRIMARY KEY,
    -- JSON with a version.
    options TEXT NOT NULL,
    owner   TEXT NOT NULL,
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Grants may be on stages too; a check cannot be changed in place.
CREATE TABLE grants_of_more (
    object_kind  TEXT NOT NULL CHECK (object_kind IN ('system', 'connection', 'database', 'schema', 'table', 'stage')),
    -- 0 for the system.
    object_id    INTEGER NOT NULL,
    grantee      TEXT NOT NULL REFERENCES roles (name),
    privilege    TEXT NOT NULL,
    grant_option INTEGER NOT NULL CHECK (grant_option IN (0, 1)),
    PRIMARY KEY (object_kind, object_id, grantee, privilege)
) STRICT, WITHOUT ROWID;

INSERT INTO grants_of_more SELECT object_kind, object_id, grantee, privilege, grant_option FROM grants;
DROP TABLE grants;
ALTER TABLE grants_of_more RENAME TO grants;
CREATE INDEX grants_grantee ON grants (grantee);
