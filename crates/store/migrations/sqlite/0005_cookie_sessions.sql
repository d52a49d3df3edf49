-- A session is presented either by tokens, of which the refresh token's mark is kept, or by a cookie, of which the SHA-256 is.
-- SQLite cannot take NOT NULL off a column, so the table is made anew.
CREATE TABLE sessions_with_cookies (
    id TEXT PRIMARY KEY,
    -- 'users' or the id of an auth collection.
    realm TEXT NOT NULL,
    account_id TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    ip_address TEXT NOT NULL,
    created TEXT NOT NULL,
    -- Of a cookie session to the minute: the idle timeout counts from here.
    last_seen TEXT NOT NULL,
    -- Unix seconds: sign-in (step-up looks here), absolute end, and end by hand.
    authenticated_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER,
    current_jti TEXT,
    current_iat INTEGER,
    current_kid TEXT,
    previous_jti TEXT,
    previous_used_at INTEGER,
    cookie_digest BLOB UNIQUE,
    CHECK (
        (cookie_digest IS NULL AND current_jti IS NOT NULL AND current_iat IS NOT NULL AND current_kid IS NOT NULL)
        OR (cookie_digest IS NOT NULL AND current_jti IS NULL AND current_iat IS NULL AND current_kid IS NULL)
    )
) STRICT;
INSERT INTO sessions_with_cookies (
    id, realm, account_id, user_agent, ip_address, created, last_seen, authenticated_at, expires_at, revoked_at,
    current_jti, current_iat, current_kid, previous_jti, previous_used_at
)
SELECT
    id, realm, account_id, user_agent, ip_address, created, last_seen, authenticated_at, expires_at, revoked_at,
    current_jti, current_iat, current_kid, previous_jti, previous_used_at
FROM sessions;
DROP TABLE sessions;
ALTER TABLE sessions_with_cookies RENAME TO sessions;
CREATE INDEX sessions_account ON sessions (realm, account_id);
CREATE INDEX sessions_expires ON sessions (expires_at);
