-- Which client addresses may come in. A network stands as CIDR in its shortest form, IPv4-mapped ones as IPv4.
CREATE TABLE ip_rules (
    id TEXT PRIMARY KEY,
    cidr TEXT NOT NULL,
    rule_type TEXT NOT NULL CHECK (rule_type IN ('allow', 'block')),
    reason TEXT,
    -- From then on it no longer holds; NULL: it holds for ever.
    expires_at TEXT,
    created_by TEXT,
    created TEXT NOT NULL
) STRICT;

-- What several nodes share of the rate limit: one row for whoever called within the hour. A lost row costs nothing but a count.
CREATE TABLE limit_windows (
    -- Class, kind of identity and number of the identity.
    key BLOB PRIMARY KEY,
    windows BLOB NOT NULL,
    -- Unix milliseconds of the last change.
    touched INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
