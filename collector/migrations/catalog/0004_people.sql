-- Who is who: links between ids, and who was erased. Changed in the same transaction as segments.

-- Ids are unsigned 64-bit numbers, stored by their bits. In the order of their numbers these are the
-- log of merges.
CREATE TABLE link (
    id           INTEGER PRIMARY KEY,
    project      INTEGER NOT NULL,
    at_ms        INTEGER NOT NULL,
    made_by      TEXT    NOT NULL,
    -- Both null once the person was erased.
    source       INTEGER,
    target       INTEGER,
    epoch        INTEGER NOT NULL,
    undone_ms    INTEGER,
    undone_epoch INTEGER
) STRICT;

-- Receipts. They name nobody.
CREATE TABLE erasure (
    id        INTEGER PRIMARY KEY,
    project   INTEGER NOT NULL,
    at_ms     INTEGER NOT NULL,
    ids       INTEGER NOT NULL,
    links     INTEGER NOT NULL,
    rows      INTEGER NOT NULL,
    -- JSON list of files.
    rewritten TEXT    NOT NULL,
    done_ms   INTEGER
) STRICT;

-- Ids whose rows may still be in files. Emptied when they are not.
CREATE TABLE erasing (
    project INTEGER NOT NULL,
    id      INTEGER NOT NULL,
    erasure INTEGER NOT NULL,
    PRIMARY KEY (project, id)
) STRICT, WITHOUT ROWID;

-- What later events of erased ids are known by: fingerprints.
CREATE TABLE tombstone (
    project INTEGER NOT NULL,
    print   INTEGER NOT NULL,
    PRIMARY KEY (project, print)
) STRICT, WITHOUT ROWID;
