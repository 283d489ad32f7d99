-- Dashboards that are sent on a schedule.

CREATE TABLE report (
    -- Never used again: the secret of a webhook is made of it.
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    project     INTEGER NOT NULL REFERENCES project (id),
    -- The key of a saved dashboard.
    board       TEXT    NOT NULL,
    every       TEXT    NOT NULL CHECK (every IN ('day', 'week', 'month')),
    hour        INTEGER NOT NULL CHECK (hour BETWEEN 0 AND 23),
    way         TEXT    NOT NULL CHECK (way IN ('mail', 'webhook')),
    -- One a line.
    recipients  TEXT    NOT NULL,
    language    TEXT    NOT NULL,
    paused      INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1)),
    created_by  TEXT    NOT NULL,
    created_ms  INTEGER NOT NULL,
    -- The next time by the schedule, and since when somebody waits for it beside it.
    due_ms      INTEGER NOT NULL,
    asked_ms    INTEGER,
    -- The one on its way: for which time, how often it was tried, when next, who has it, what went wrong (one a line).
    occasion_ms INTEGER NOT NULL DEFAULT 0,
    tries       INTEGER NOT NULL DEFAULT 0,
    retry_ms    INTEGER NOT NULL DEFAULT 0,
    done        TEXT    NOT NULL DEFAULT '',
    trouble     TEXT    NOT NULL DEFAULT '',
    ended_ms    INTEGER
) STRICT;

CREATE INDEX report_by_project ON report (project, board);
