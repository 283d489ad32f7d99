-- How long the events of a project are kept: days after they happened, null for ever. The row without
-- an event is for all events that have no row of their own.

CREATE TABLE retention (
    project INTEGER NOT NULL REFERENCES project (id),
    event   TEXT    NOT NULL,
    days    INTEGER CHECK (days > 0),
    PRIMARY KEY (project, event)
) STRICT, WITHOUT ROWID;
