-- Dashboards are saved as cohorts, questions and annotations are. A CHECK cannot be changed, so the table is made anew;
-- which kinds there are is `saved::Kind`'s to say from here on, and nothing but a kind of it is ever written.

CREATE TABLE saved_anew (
    project    INTEGER NOT NULL REFERENCES project (id),
    kind       TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    body       TEXT    NOT NULL,
    created_ms INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL,
    removed_ms INTEGER,
    PRIMARY KEY (project, kind, key)
) STRICT, WITHOUT ROWID;

INSERT INTO saved_anew SELECT project, kind, key, version, body, created_ms, changed_ms, removed_ms FROM saved;
DROP TABLE saved;
ALTER TABLE saved_anew RENAME TO saved;
