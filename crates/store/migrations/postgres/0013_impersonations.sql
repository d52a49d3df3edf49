-- Admins who act as users: one row a token. It ends with the session that it was begun in, and with what ends the sessions of either.
CREATE TABLE impersonations (
    -- The token's `sid` and `jti`.
    id TEXT COLLATE "C" PRIMARY KEY,
    jti TEXT COLLATE "C" NOT NULL,
    admin_id TEXT COLLATE "C" NOT NULL,
    -- The session of the admin.
    session_id TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,
    reason TEXT COLLATE "C" NOT NULL,
    ip_address TEXT COLLATE "C" NOT NULL,
    created TEXT COLLATE "C" NOT NULL,
    -- Unix seconds.
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT
);
CREATE INDEX impersonations_user ON impersonations (user_id);
CREATE INDEX impersonations_admin ON impersonations (admin_id);
CREATE INDEX impersonations_expires ON impersonations (expires_at);
