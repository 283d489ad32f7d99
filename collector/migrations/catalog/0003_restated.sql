-- Days that got events after they were closed, so that an answer can say that figures which were
-- called complete have changed. Written with the segments that hold those events. Days are counted
-- from 1970-01-01, UTC.

CREATE TABLE restated (
    project INTEGER NOT NULL,
    day     INTEGER NOT NULL,
    PRIMARY KEY (project, day)
) STRICT, WITHOUT ROWID;
