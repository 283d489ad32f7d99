-- The truth about segments, and what is committed together with them: the quarantine, the schema
-- seen so far, and usage per hour. One transaction per flush or merge changes all of it.

CREATE TABLE segment (
    id          INTEGER PRIMARY KEY,
    week        TEXT    NOT NULL,
    level       INTEGER NOT NULL,
    rows        INTEGER NOT NULL,
    bytes       INTEGER NOT NULL,
    project_min INTEGER NOT NULL,
    project_max INTEGER NOT NULL,
    ts_min_ms   INTEGER NOT NULL,
    ts_max_ms   INTEGER NOT NULL,
    -- Persons are unsigned 64-bit numbers; SQLite has signed ones. Stored by their bits.
    person_min  INTEGER NOT NULL,
    person_max  INTEGER NOT NULL,
    id_day_min  INTEGER NOT NULL,
    id_day_max  INTEGER NOT NULL,
    odd_ids     INTEGER NOT NULL,
    has_ids     INTEGER NOT NULL CHECK (has_ids IN (0, 1)),
    link_epoch  INTEGER NOT NULL
) STRICT;

CREATE TABLE state (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    flushed_seq INTEGER NOT NULL
) STRICT;

INSERT INTO state (one, flushed_seq) VALUES (1, 0);

CREATE TABLE refused (
    id          INTEGER PRIMARY KEY,
    project     INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    code        TEXT    NOT NULL,
    raw         TEXT    NOT NULL
) STRICT;

CREATE INDEX refused_newest ON refused (project, id);

-- The row without a property is the event itself.
CREATE TABLE event_schema (
    project  INTEGER NOT NULL,
    event    TEXT    NOT NULL,
    property TEXT,
    count    INTEGER NOT NULL,
    texts    INTEGER NOT NULL,
    numbers  INTEGER NOT NULL,
    bools    INTEGER NOT NULL,
    others   INTEGER NOT NULL,
    last_ms  INTEGER NOT NULL
) STRICT;

-- COALESCE with a text that no property can be named: nulls are all distinct in a unique index.
CREATE UNIQUE INDEX event_schema_key ON event_schema (project, event, COALESCE(property, char(0)));

CREATE TABLE usage (
    project INTEGER NOT NULL,
    hour_ms INTEGER NOT NULL,
    kind    TEXT    NOT NULL,
    count   INTEGER NOT NULL,
    bytes   INTEGER NOT NULL,
    PRIMARY KEY (project, hour_ms, kind)
) STRICT, WITHOUT ROWID;
