-- The one data key, wrapped by the master key.
CREATE TABLE data_key (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    wrapped BLOB NOT NULL
) STRICT;

-- The next id of databases, schemas, tables and connections.
CREATE TABLE sequence (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    next INTEGER NOT NULL
) STRICT;

INSERT INTO sequence (id, next) VALUES (1, 100);

CREATE TABLE databases (
    id       INTEGER PRIMARY KEY,
    name     TEXT NOT NULL UNIQUE,
    owner    TEXT NOT NULL,
    location TEXT,
    comment  TEXT,
    created  INTEGER NOT NULL
) STRICT;

CREATE TABLE schemas (
    id       INTEGER PRIMARY KEY,
    database INTEGER NOT NULL REFERENCES databases (id),
    name     TEXT NOT NULL,
    owner    TEXT NOT NULL,
    UNIQUE (database, name)
) STRICT;

CREATE TABLE tables (
    id       INTEGER PRIMARY KEY,
    schema   INTEGER NOT NULL REFERENCES schemas (id),
    database INTEGER NOT NULL REFERENCES databases (id),
    name     TEXT NOT NULL,
    owner    TEXT NOT NULL,
    -- Columns and primary key: JSON with a version.
    shape    TEXT NOT NULL,
    comment  TEXT,
    created  INTEGER NOT NULL,
    UNIQUE (schema, name)
) STRICT;

CREATE INDEX tables_database ON tables (database);

CREATE TABLE connections (
    id          INTEGER PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    kind        TEXT NOT NULL,
    dialect     TEXT NOT NULL,
    -- Sealed.
    definition  BLOB NOT NULL,
    redacted    TEXT NOT NULL,
    owner       TEXT NOT NULL,
    version     INTEGER NOT NULL CHECK (version >= 1),
    created     INTEGER NOT NULL,
    updated     INTEGER NOT NULL,
    check_at    INTEGER,
    check_error TEXT
) STRICT;

CREATE TABLE roles (
    name        TEXT PRIMARY KEY,
    login       INTEGER NOT NULL CHECK (login IN (0, 1)),
    -- Sealed.
    verifier    BLOB,
    valid_until INTEGER,
    -- Options and session defaults: JSON with a version.
    profile     TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE memberships (
    role         TEXT NOT NULL REFERENCES roles (name) ON DELETE CASCADE,
    member       TEXT NOT NULL REFERENCES roles (name) ON DELETE CASCADE,
    admin_option INTEGER NOT NULL CHECK (admin_option IN (0, 1)),
    PRIMARY KEY (role, member)
) STRICT, WITHOUT ROWID;

CREATE INDEX memberships_member ON memberships (member);

CREATE TABLE grants (
    object_kind  TEXT NOT NULL CHECK (object_kind IN ('system', 'connection', 'database', 'schema', 'table')),
    -- 0 for the system.
    object_id    INTEGER NOT NULL,
    grantee      TEXT NOT NULL REFERENCES roles (name),
    privilege    TEXT NOT NULL,
    grant_option INTEGER NOT NULL CHECK (grant_option IN (0, 1)),
    PRIMARY KEY (object_kind, object_id, grantee, privilege)
) STRICT, WITHOUT ROWID;

CREATE INDEX grants_grantee ON grants (grantee);

CREATE TABLE settings (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE jobs (
    id             INTEGER PRIMARY KEY,
    ty             TEXT NOT NULL,
    state          TEXT NOT NULL,
    owner          TEXT NOT NULL,
    description    TEXT NOT NULL,
    payload        TEXT NOT NULL,
    checkpoint     TEXT,
    fraction       REAL NOT NULL,
    running_status TEXT,
    error          TEXT,
    error_code     TEXT,
    result         TEXT,
    created        INTEGER NOT NULL,
    started        INTEGER,
    finished       INTEGER,
    modified       INTEGER NOT NULL,
    lease_node     INTEGER,
    lease_until    INTEGER,
    -- Ids of connections: JSON with a version.
    connections    TEXT NOT NULL
) STRICT;

CREATE TABLE events (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    at     INTEGER NOT NULL,
    user   TEXT NOT NULL,
    event  TEXT NOT NULL,
    object TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
