-- Who may send and who may ask. Nothing in here is a usable secret: keys and sessions are kept
-- as keyed hashes, and the secret of those hashes (the pepper) is a file beside the database.

CREATE TABLE project (
    id         INTEGER PRIMARY KEY,
    slug       TEXT    NOT NULL UNIQUE,
    name       TEXT    NOT NULL,
    tz         TEXT    NOT NULL,
    -- Public by design: it keeps hashes of different projects apart, it does not keep a secret.
    salt       TEXT    NOT NULL,
    created_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE access_key (
    id         INTEGER PRIMARY KEY,
    project    INTEGER NOT NULL REFERENCES project (id),
    kind       TEXT    NOT NULL CHECK (kind IN ('public', 'secret')),
    -- HMAC-SHA256(pepper, key)
    mac        BLOB    NOT NULL UNIQUE CHECK (length(mac) = 32),
    -- The last characters, so that a person can tell keys apart.
    hint       TEXT    NOT NULL,
    -- Comma separated, see `keys::Scope`.
    scopes     TEXT    NOT NULL,
    created_ms INTEGER NOT NULL,
    revoked_ms INTEGER
) STRICT;

CREATE INDEX access_key_project ON access_key (project);

CREATE TABLE dashboard_session (
    -- HMAC-SHA256(pepper, token)
    mac        BLOB    PRIMARY KEY CHECK (length(mac) = 32),
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT;
