-- Admins who act as users: one row a token. It ends with the session that it was begun in, and with what ends the sessions of either.
CREATE TABLE impersonations (
    -- The token's `sid` and `jti`.
    id TEXT PRIMARY KEY,
    jti TEXT NOT NULL,
    admin_id TEXT NOT NULL,
    -- The session of the admin.
    session_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    reason TEXT NOT NULL,
    ip_address TEXT NOT NULL,
    created TEXT NOT NULL,
    -- Unix seconds.
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;
CREATE INDEX impersonations_user ON impersonations (user_id);
CREATE INDEX impersonations_admin ON impersonations (admin_id);
CREATE INDEX impersonations_expires ON impersonations (expires_at);
