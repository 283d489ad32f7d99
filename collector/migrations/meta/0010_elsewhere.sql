-- Who somebody is at a provider of sign-in, from the first time on: their address there may become somebody else's.

CREATE TABLE elsewhere (
    account    INTEGER NOT NULL REFERENCES account (id),
    issuer     TEXT    NOT NULL,
    -- HMAC-SHA256(pepper, issuer, subject): whom the provider means is not in the database.
    mac        BLOB    NOT NULL CHECK (length(mac) = 32),
    created_ms INTEGER NOT NULL,
    PRIMARY KEY (account, issuer),
    UNIQUE (mac)
) STRICT, WITHOUT ROWID;
