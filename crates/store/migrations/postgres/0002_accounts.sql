-- People of the product itself. Accounts of auth collections are rows of their collections.
CREATE TABLE users (
    id TEXT COLLATE "C" PRIMARY KEY,
    email TEXT COLLATE "C" NOT NULL,
    -- What addresses are matched and kept unique by: Unicode lower case.
    email_folded TEXT COLLATE "C" NOT NULL UNIQUE,
    -- PHC string; null where the account has no password.
    password TEXT COLLATE "C",
    name TEXT COLLATE "C",
    avatar TEXT COLLATE "C",
    role TEXT COLLATE "C" NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'admin')),
    verified BOOLEAN NOT NULL DEFAULT FALSE,
    email_visibility BOOLEAN NOT NULL DEFAULT FALSE,
    disabled BOOLEAN NOT NULL DEFAULT FALSE,
    must_change_password BOOLEAN NOT NULL DEFAULT FALSE,
    created TEXT COLLATE "C" NOT NULL,
    updated TEXT COLLATE "C" NOT NULL
);
CREATE INDEX users_created ON users (created, id);
CREATE INDEX users_role ON users (role);

-- One row a sign-in. Of its refresh tokens only jti, iat and kid are known, never a text.
CREATE TABLE sessions (
    id TEXT COLLATE "C" PRIMARY KEY,
    -- 'users' or the id of an auth collection.
    realm TEXT COLLATE "C" NOT NULL,
    account_id TEXT COLLATE "C" NOT NULL,
    user_agent TEXT COLLATE "C" NOT NULL,
    ip_address TEXT COLLATE "C" NOT NULL,
    created TEXT COLLATE "C" NOT NULL,
    last_seen TEXT COLLATE "C" NOT NULL,
    -- Unix seconds: sign-in (step-up looks here), absolute end, and end by hand.
    authenticated_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT,
    current_jti TEXT COLLATE "C" NOT NULL,
    current_iat BIGINT NOT NULL,
    current_kid TEXT COLLATE "C" NOT NULL,
    previous_jti TEXT COLLATE "C",
    previous_used_at BIGINT
);
CREATE INDEX sessions_account ON sessions (realm, account_id);
CREATE INDEX sessions_expires ON sessions (expires_at);

-- Earlier hashes, so that PASSWORD_HISTORY_COUNT can refuse them.
CREATE TABLE password_history (
    realm TEXT COLLATE "C" NOT NULL,
    account_id TEXT COLLATE "C" NOT NULL,
    password TEXT COLLATE "C" NOT NULL,
    created TEXT COLLATE "C" NOT NULL
);
CREATE INDEX password_history_account ON password_history (realm, account_id, created);

-- The link that makes the first admin: stored as SHA-256, one use.
CREATE TABLE setup_tokens (
    digest BYTEA PRIMARY KEY,
    expires_at BIGINT NOT NULL
);

-- When the ring first saw each signing key, and first saw it as a previous one (unix seconds).
CREATE TABLE signing_keys (
    kid TEXT COLLATE "C" PRIMARY KEY,
    first_seen BIGINT NOT NULL,
    previous_since BIGINT
);
