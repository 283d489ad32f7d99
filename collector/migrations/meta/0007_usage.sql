-- What projects used by day, and where they used more than was agreed.

-- Derived from the catalog's hours; a rollup writes a day again as often as it likes.
CREATE TABLE daily_usage (
    project INTEGER NOT NULL REFERENCES project (id),
    metric  TEXT    NOT NULL,
    -- Days since 1970-01-01, UTC: of receipt.
    day     INTEGER NOT NULL,
    amount  INTEGER NOT NULL,
    PRIMARY KEY (project, metric, day)
) STRICT, WITHOUT ROWID;

-- The last rollup; one row.
CREATE TABLE rollup (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    -- Days before this one are in `daily_usage` for good.
    day      INTEGER NOT NULL,
    ended_ms INTEGER NOT NULL,
    took_ms  INTEGER NOT NULL,
    written  INTEGER NOT NULL
) STRICT;

-- One row for each day on which a metric went beyond a quota, so that it is told once.
CREATE TABLE quota_exceeded (
    project INTEGER NOT NULL REFERENCES project (id),
    metric  TEXT    NOT NULL,
    day     INTEGER NOT NULL,
    quota   INTEGER NOT NULL,
    at_ms   INTEGER NOT NULL,
    PRIMARY KEY (project, metric, day, quota)
) STRICT, WITHOUT ROWID;
