-- Files of the browser SDK, by the build that pages name in their script tags. Never removed: a tag
-- with a hash outlives the collector that wrote it.

CREATE TABLE sdk_file (
    build   TEXT NOT NULL,
    name    TEXT NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (build, name)
) STRICT, WITHOUT ROWID;
