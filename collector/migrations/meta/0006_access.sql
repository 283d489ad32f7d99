-- Organisations, the people in them, and what they did.

CREATE TABLE organisation (
    id         INTEGER PRIMARY KEY,
    slug       TEXT    NOT NULL UNIQUE,
    name       TEXT    NOT NULL,
    created_ms INTEGER NOT NULL
) STRICT;

-- Where the projects are that were made before there were organisations, and those made without one.
INSERT INTO organisation (id, slug, name, created_ms) VALUES (1, 'main', 'Main', 0);

-- SQLite adds no reference with a default to a table that has rows: `meta::projects` sees to it.
ALTER TABLE project ADD COLUMN organisation INTEGER NOT NULL DEFAULT 1;
-- JSON, see `meta::projects::Settings`.
ALTER TABLE project ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';

CREATE TABLE account (
    id              INTEGER PRIMARY KEY,
    -- In lower case.
    email           TEXT    NOT NULL UNIQUE,
    name            TEXT    NOT NULL,
    -- argon2id, as a PHC string; null for people who never set one.
    password        TEXT,
    -- Wrong passwords since the last right one, and until when none is looked at.
    failures        INTEGER NOT NULL DEFAULT 0,
    locked_until_ms INTEGER NOT NULL DEFAULT 0,
    created_ms      INTEGER NOT NULL
) STRICT;

CREATE TABLE member (
    organisation INTEGER NOT NULL REFERENCES organisation (id),
    account      INTEGER NOT NULL REFERENCES account (id),
    role         TEXT    NOT NULL CHECK (role IN ('owner', 'admin', 'analyst', 'viewer')),
    created_ms   INTEGER NOT NULL,
    PRIMARY KEY (organisation, account)
) STRICT, WITHOUT ROWID;

CREATE TABLE invitation (
    id           INTEGER PRIMARY KEY,
    -- HMAC-SHA256(pepper, token)
    mac          BLOB    NOT NULL UNIQUE CHECK (length(mac) = 32),
    organisation INTEGER NOT NULL REFERENCES organisation (id),
    email        TEXT    NOT NULL,
    role         TEXT    NOT NULL CHECK (role IN ('owner', 'admin', 'analyst', 'viewer')),
    created_ms   INTEGER NOT NULL,
    expires_ms   INTEGER NOT NULL
) STRICT;

-- Null: whoever opened the one-time link that the server printed, and so runs this machine.
ALTER TABLE dashboard_session ADD COLUMN account INTEGER REFERENCES account (id);

ALTER TABLE access_key ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE access_key ADD COLUMN expires_ms INTEGER;
-- To the minute.
ALTER TABLE access_key ADD COLUMN used_ms INTEGER;

-- The audit trail holds what is done to organisations too, and each row the hash of those before it.
DROP TRIGGER audit_is_not_changed;
DROP TRIGGER audit_is_not_shortened;
DROP INDEX audit_subject;
ALTER TABLE audit RENAME TO audit_of_projects;

CREATE TABLE audit (
    id           INTEGER PRIMARY KEY,
    organisation INTEGER NOT NULL REFERENCES organisation (id),
    -- Null: of the organisation itself.
    project      INTEGER REFERENCES project (id),
    -- What was done to: definition/buy-button.
    subject      TEXT    NOT NULL,
    action       TEXT    NOT NULL,
    -- Who: a key by its number, a person by the address they sign in with, the console or the command line.
    actor        TEXT    NOT NULL,
    at_ms        INTEGER NOT NULL,
    note         TEXT    NOT NULL,
    -- JSON; null before something was made.
    before       TEXT,
    -- JSON; null after something is gone.
    after        TEXT,
    -- Of this row and of the hash in the row before it, of the same organisation. Null only in rows that
    -- were written before there was a chain, until the next start takes them into it.
    hash         BLOB    CHECK (length(hash) = 32)
) STRICT;

INSERT INTO audit (id, organisation, project, subject, action, actor, at_ms, note, before, after)
SELECT id, 1, project, subject, action, actor, at_ms, note, before, after FROM audit_of_projects;
DROP TABLE audit_of_projects;

CREATE INDEX audit_subject ON audit (project, subject, id);
CREATE INDEX audit_organisation ON audit (organisation, id);

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit WHEN OLD.hash IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'the audit trail is not changed'); END;

CREATE TRIGGER audit_is_not_shortened BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit trail is not shortened'); END;
