-- Cohorts, questions and annotations that teams keep under a name. Who changed what is in `audit`.

CREATE TABLE saved (
    project    INTEGER NOT NULL REFERENCES project (id),
    kind       TEXT    NOT NULL CHECK (kind IN ('cohort', 'question', 'annotation')),
    key        TEXT    NOT NULL,
    -- Counts changes, removing included, so that nobody overwrites what they have not seen and a number
    -- never stands for two things.
    version    INTEGER NOT NULL,
    -- JSON, see `saved::body`.
    body       TEXT    NOT NULL,
    created_ms INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL,
    removed_ms INTEGER,
    PRIMARY KEY (project, kind, key)
) STRICT, WITHOUT ROWID;
