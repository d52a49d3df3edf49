-- Mails that wait to be sent, written in the transaction of what they are about. A mail that was sent is gone from here.
-- No secret ever stands in a row: the token of a link is made when its mail is sent.
CREATE TABLE mails (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    -- Whose account it is about: 'users' or the id of an auth collection, and the account. A request for an address that may or may
    -- not have an account has the realm alone.
    realm TEXT,
    account_id TEXT,
    recipient TEXT NOT NULL,
    -- JSON object: what the template may say.
    data TEXT NOT NULL,
    -- Unix seconds. A mail is not sent before due_at (that is how a claim works, too), and its link dies at link_until.
    due_at INTEGER NOT NULL,
    link_until INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    last_error TEXT,
    -- When it was given up.
    failed_at INTEGER,
    created TEXT NOT NULL
) STRICT;
CREATE INDEX mails_due ON mails (due_at, id) WHERE failed_at IS NULL;
CREATE INDEX mails_failed ON mails (failed_at) WHERE failed_at IS NOT NULL;
CREATE INDEX mails_recipient ON mails (recipient, kind);
CREATE INDEX mails_account ON mails (account_id) WHERE account_id IS NOT NULL;

-- Links in mails: SHA-256 of their tokens, each for one purpose, used once.
CREATE TABLE mail_tokens (
    digest BLOB PRIMARY KEY,
    purpose TEXT NOT NULL,
    realm TEXT NOT NULL,
    account_id TEXT NOT NULL,
    -- The address that the link was sent to.
    email TEXT NOT NULL,
    -- Unix seconds.
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX mail_tokens_account ON mail_tokens (realm, account_id, purpose);
CREATE INDEX mail_tokens_expires ON mail_tokens (expires_at);
