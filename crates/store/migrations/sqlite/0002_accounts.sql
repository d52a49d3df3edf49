-- People of the product itself. Accounts of auth collections are rows of their collections.
CREATE TABLE users (
    id TEXT PRIMARY KEY,
    email TEXT NOT NULL,
    -- What addresses are matched and kept unique by: Unicode lower case.
    email_folded TEXT NOT NULL UNIQUE,
    -- PHC string; null where the account has no password.
    password TEXT,
    name TEXT,
    avatar TEXT,
    role TEXT NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'admin')),
    verified INTEGER NOT NULL DEFAULT 0,
    email_visibility INTEGER NOT NULL DEFAULT 0,
    disabled INTEGER NOT NULL DEFAULT 0,
    must_change_password INTEGER NOT NULL DEFAULT 0,
    created TEXT NOT NULL,
    updated TEXT NOT NULL
) STRICT;
CREATE INDEX users_created ON users (created, id);
CREATE INDEX users_role ON users (role);

-- One row a sign-in. Of its refresh tokens only jti, iat and kid are known, never a text.
CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    -- 'users' or the id of an auth collection.
    realm TEXT NOT NULL,
    account_id TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    ip_address TEXT NOT NULL,
    created TEXT NOT NULL,
    last_seen TEXT NOT NULL,
    -- Unix seconds: sign-in (step-up looks here), absolute end, and end by hand.
    authenticated_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER,
    current_jti TEXT NOT NULL,
    current_iat INTEGER NOT NULL,
    current_kid TEXT NOT NULL,
    previous_jti TEXT,
    previous_used_at INTEGER
) STRICT;
CREATE INDEX sessions_account ON sessions (realm, account_id);
CREATE INDEX sessions_expires ON sessions (expires_at);

-- Earlier hashes, so that PASSWORD_HISTORY_COUNT can refuse them.
CREATE TABLE password_history (
    realm TEXT NOT NULL,
    account_id TEXT NOT NULL,
    password TEXT NOT NULL,
    created TEXT NOT NULL
) STRICT;
CREATE INDEX password_history_account ON password_history (realm, account_id, created);

-- The link that makes the first admin: stored as SHA-256, one use.
CREATE TABLE setup_tokens (
    digest BLOB PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT;

-- When the ring first saw each signing key, and first saw it as a previous one (unix seconds).
CREATE TABLE signing_keys (
    kid TEXT PRIMARY KEY,
    first_seen INTEGER NOT NULL,
    previous_since INTEGER
) STRICT;
