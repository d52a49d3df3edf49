-- Which client addresses may come in. A network stands as CIDR in its shortest form, IPv4-mapped ones as IPv4.
CREATE TABLE ip_rules (
    id TEXT COLLATE "C" PRIMARY KEY,
    cidr TEXT COLLATE "C" NOT NULL,
    rule_type TEXT COLLATE "C" NOT NULL CHECK (rule_type IN ('allow', 'block')),
    reason TEXT COLLATE "C",
    -- From then on it no longer holds; NULL: it holds for ever.
    expires_at TEXT COLLATE "C",
    created_by TEXT COLLATE "C",
    created TEXT COLLATE "C" NOT NULL
);

-- What several nodes share of the rate limit: one row for whoever called within the hour. A lost row costs nothing but a count, so
-- none is written to the log of the database.
CREATE UNLOGGED TABLE limit_windows (
    -- Class, kind of identity and number of the identity.
    key BYTEA PRIMARY KEY,
    windows BYTEA NOT NULL,
    -- Unix milliseconds of the last change.
    touched BIGINT NOT NULL
) WITH (fillfactor = 50);
