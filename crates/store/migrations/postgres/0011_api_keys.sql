-- What users gave to their programs. The rights are those of the user at the moment of use.
CREATE TABLE api_keys (
    id TEXT COLLATE "C" PRIMARY KEY,
    user_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    -- Comma list, as it is shown.
    scopes TEXT COLLATE "C" NOT NULL,
    active BOOLEAN NOT NULL DEFAULT TRUE,
    -- Unix milliseconds; null: never.
    expires_at BIGINT,
    -- Comma list of networks; empty: from anywhere.
    allowed_cidrs TEXT COLLATE "C" NOT NULL,
    rate_limit_per_minute BIGINT,
    -- To the minute.
    last_used_at TEXT COLLATE "C",
    last_used_ip TEXT COLLATE "C",
    created TEXT COLLATE "C" NOT NULL,
    updated TEXT COLLATE "C" NOT NULL
);
CREATE INDEX api_keys_user ON api_keys (user_id, created, id);

-- The texts that a key is presented by: the one in force, and those before it until their overlap ends.
CREATE TABLE api_key_secrets (
    -- The eight digits that name the text in public.
    prefix TEXT COLLATE "C" PRIMARY KEY,
    key_id TEXT COLLATE "C" NOT NULL,
    -- SHA-256 of the whole text.
    digest BYTEA NOT NULL,
    -- Unix milliseconds; null: this is the one in force.
    ends_at BIGINT
);
CREATE INDEX api_key_secrets_key ON api_key_secrets (key_id);
