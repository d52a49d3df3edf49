-- Failed guesses at credentials, counted before they are checked. One row an account, or an account as one known browser reaches it,
-- or one of a fixed number of places for names that nobody has.
CREATE TABLE attempts (
    -- HMAC-SHA-256 under the one key below: what is guessed at cannot be read back.
    counter BYTEA PRIMARY KEY,
    -- Whose it is, so that an unlock finds all of them; null where nobody has the name.
    realm TEXT COLLATE "C",
    account_id TEXT COLLATE "C",
    failures BIGINT NOT NULL,
    -- Unix milliseconds.
    last_at BIGINT NOT NULL,
    -- 0: not locked.
    locked_until BIGINT NOT NULL
);
CREATE INDEX attempts_account ON attempts (realm, account_id);
CREATE INDEX attempts_last ON attempts (last_at);

-- The key of the counters' names, made by the first node that starts.
CREATE TABLE attempts_key (
    id INT PRIMARY KEY CHECK (id = 1),
    bytes BYTEA NOT NULL
);

-- Browsers that signed in before, by the SHA-256 of their cookie, and into which accounts.
CREATE TABLE devices (
    digest BYTEA NOT NULL,
    realm TEXT COLLATE "C" NOT NULL,
    account_id TEXT COLLATE "C" NOT NULL,
    -- Unix seconds.
    created BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (digest, realm, account_id)
);
CREATE INDEX devices_account ON devices (realm, account_id, created);
CREATE INDEX devices_expires ON devices (expires_at);

-- The one code an account may sign in with for a few minutes.
CREATE TABLE one_time_codes (
    realm TEXT COLLATE "C" NOT NULL,
    account_id TEXT COLLATE "C" NOT NULL,
    digest BYTEA NOT NULL,
    tries_left BIGINT NOT NULL,
    -- Unix milliseconds.
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (realm, account_id)
);
CREATE INDEX one_time_codes_expires ON one_time_codes (expires_at);

-- Second factors by time (RFC 6238). The secret is sealed.
CREATE TABLE second_factors (
    realm TEXT COLLATE "C" NOT NULL,
    account_id TEXT COLLATE "C" NOT NULL,
    secret BYTEA NOT NULL,
    -- Off until a first code has shown that the app has the secret.
    enabled BOOLEAN NOT NULL DEFAULT FALSE,
    -- The last 30-second step whose code was taken: none is taken twice.
    last_step BIGINT,
    created TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (realm, account_id)
);

-- What replaces a lost second factor: each good once, kept as SHA-256.
CREATE TABLE backup_codes (
    realm TEXT COLLATE "C" NOT NULL,
    account_id TEXT COLLATE "C" NOT NULL,
    digest BYTEA NOT NULL,
    PRIMARY KEY (realm, account_id, digest)
);
