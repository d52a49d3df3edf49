-- A session is presented either by tokens, of which the refresh token's mark is kept, or by a cookie, of which the SHA-256 is.
-- Of a cookie session `last_seen` is kept to the minute: the idle timeout counts from there.
ALTER TABLE sessions
    ALTER COLUMN current_jti DROP NOT NULL,
    ALTER COLUMN current_iat DROP NOT NULL,
    ALTER COLUMN current_kid DROP NOT NULL,
    ADD COLUMN cookie_digest BYTEA UNIQUE,
    ADD CONSTRAINT sessions_kind CHECK (
        (cookie_digest IS NULL AND current_jti IS NOT NULL AND current_iat IS NOT NULL AND current_kid IS NOT NULL)
        OR (cookie_digest IS NOT NULL AND current_jti IS NULL AND current_iat IS NULL AND current_kid IS NULL)
    );
