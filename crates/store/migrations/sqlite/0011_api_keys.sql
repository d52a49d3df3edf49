-- What users gave to their programs. The rights are those of the user at the moment of use.
CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    name TEXT NOT NULL,
    -- Comma list, as it is shown.
    scopes TEXT NOT NULL,
    active INTEGER NOT NULL DEFAULT 1,
    -- Unix milliseconds; null: never.
    expires_at INTEGER,
    -- Comma list of networks; empty: from anywhere.
    allowed_cidrs TEXT NOT NULL,
    rate_limit_per_minute INTEGER,
    -- To the minute.
    last_used_at TEXT,
    last_used_ip TEXT,
    created TEXT NOT NULL,
    updated TEXT NOT NULL
) STRICT;
CREATE INDEX api_keys_user ON api_keys (user_id, created, id);

-- The texts that a key is presented by: the one in force, and those before it until their overlap ends.
CREATE TABLE api_key_secrets (
    -- The eight digits that name the text in public.
    prefix TEXT PRIMARY KEY,
    key_id TEXT NOT NULL,
    -- SHA-256 of the whole text.
    digest BLOB NOT NULL,
    -- Unix milliseconds; null: this is the one in force.
    ends_at INTEGER
) STRICT;
CREATE INDEX api_key_secrets_key ON api_key_secrets (key_id);
