-- Codes of an authenticator app beside the password, links to another password, and where sessions are.

CREATE TABLE second_factor (
    account    INTEGER PRIMARY KEY REFERENCES account (id),
    -- The secret is HMAC-SHA256(pepper, account, nonce): it is not in the database.
    nonce      BLOB    NOT NULL CHECK (length(nonce) = 16),
    -- 0 until a first code was right.
    in_force   INTEGER NOT NULL DEFAULT 0 CHECK (in_force IN (0, 1)),
    -- The half minute of the last code that was taken: no code is taken twice.
    last_step  INTEGER NOT NULL DEFAULT 0,
    created_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE recovery_code (
    account INTEGER NOT NULL REFERENCES account (id),
    -- HMAC-SHA256(pepper, account, code)
    mac     BLOB    NOT NULL CHECK (length(mac) = 32),
    PRIMARY KEY (account, mac)
) STRICT, WITHOUT ROWID;

CREATE TABLE password_link (
    -- HMAC-SHA256(pepper, token)
    mac        BLOB    PRIMARY KEY CHECK (length(mac) = 32),
    account    INTEGER NOT NULL REFERENCES account (id),
    expires_ms INTEGER NOT NULL
) STRICT;

-- Browser and system, for whoever looks where they are signed in.
ALTER TABLE dashboard_session ADD COLUMN device TEXT NOT NULL DEFAULT '';
