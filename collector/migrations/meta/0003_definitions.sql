-- Experiments, flags and holdouts as teams define them, and who changed what.

CREATE TABLE definition (
    project      INTEGER NOT NULL REFERENCES project (id),
    key          TEXT    NOT NULL,
    state        TEXT    NOT NULL CHECK (state IN ('draft', 'running', 'paused', 'concluded')),
    -- Counts changes, so that nobody overwrites what they have not seen.
    version      INTEGER NOT NULL,
    -- JSON, see `experiments::definition`.
    body         TEXT    NOT NULL,
    created_ms   INTEGER NOT NULL,
    changed_ms   INTEGER NOT NULL,
    started_ms   INTEGER,
    concluded_ms INTEGER,
    PRIMARY KEY (project, key)
) STRICT, WITHOUT ROWID;

-- Written in the transaction of the change it tells of.
CREATE TABLE audit (
    id      INTEGER PRIMARY KEY,
    project INTEGER NOT NULL REFERENCES project (id),
    -- What was changed: experiment/buy-button.
    subject TEXT    NOT NULL,
    action  TEXT    NOT NULL,
    -- Who: a key by its number, or the command line.
    actor   TEXT    NOT NULL,
    at_ms   INTEGER NOT NULL,
    note    TEXT    NOT NULL,
    -- JSON; null before something was made.
    before  TEXT,
    after   TEXT    NOT NULL
) STRICT;

CREATE INDEX audit_subject ON audit (project, subject, id);

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit trail is not changed'); END;

CREATE TRIGGER audit_is_not_shortened BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit trail is not shortened'); END;
