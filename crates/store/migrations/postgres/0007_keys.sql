-- What "safe to remove" is decided by. Unix seconds: when a node last signed with the key (renewed while it runs), when a token of it
-- was last verified, and until when everything it signed was declared void.
ALTER TABLE signing_keys
    ADD COLUMN last_current BIGINT,
    ADD COLUMN last_verified BIGINT,
    ADD COLUMN revoked_at BIGINT;

-- The latest end that any token of a key and purpose may have: written before such a token is given out, so never too early.
CREATE TABLE signing_key_ends (
    kid TEXT COLLATE "C" NOT NULL,
    purpose TEXT COLLATE "C" NOT NULL,
    latest_exp BIGINT NOT NULL,
    PRIMARY KEY (kid, purpose)
);

-- The key of the refresh token before the current one, which still answers for a few seconds.
ALTER TABLE sessions ADD COLUMN previous_kid TEXT COLLATE "C";
