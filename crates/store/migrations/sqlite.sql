-- Made by `cargo xtask docs` out of the files in sqlite/.
CREATE TABLE schema_migrations (
    version    INTEGER PRIMARY KEY,
    name       TEXT NOT NULL,
    checksum   TEXT NOT NULL,
    applied_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;
CREATE TABLE record_counts (
    collection_id TEXT PRIMARY KEY,
    n             INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE outbox (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    topic   TEXT NOT NULL,
    payload TEXT NOT NULL,
    created TEXT NOT NULL
) STRICT;
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
CREATE TABLE password_history (
    realm TEXT NOT NULL,
    account_id TEXT NOT NULL,
    password TEXT NOT NULL,
    created TEXT NOT NULL
) STRICT;
CREATE INDEX password_history_account ON password_history (realm, account_id, created);
CREATE TABLE setup_tokens (
    digest BLOB PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE TABLE signing_keys (
    kid TEXT PRIMARY KEY,
    first_seen INTEGER NOT NULL,
    previous_since INTEGER
, last_current INTEGER, last_verified INTEGER, revoked_at INTEGER) STRICT;
CREATE TABLE collections (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    -- Names are unique whatever their case.
    name_folded TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL CHECK (type IN ('base', 'auth', 'view')),
    -- JSON array of fields, JSON object of options, JSON array of the indexes that an admin asked for.
    fields TEXT NOT NULL,
    options TEXT NOT NULL,
    indexes TEXT NOT NULL DEFAULT '[]',
    -- Null: admins only. Empty: everybody. Else an expression.
    list_rule TEXT,
    view_rule TEXT,
    create_rule TEXT,
    update_rule TEXT,
    delete_rule TEXT,
    manage_rule TEXT,
    view_query TEXT,
    system INTEGER NOT NULL DEFAULT 0,
    -- Counts changes: a write that was prepared against an older one starts again.
    version INTEGER NOT NULL DEFAULT 1,
    created TEXT NOT NULL,
    updated TEXT NOT NULL
) STRICT;
CREATE INDEX collections_created ON collections (created, id);
CREATE TABLE schema_generation (
    generation INTEGER NOT NULL
) STRICT;
CREATE TABLE "sessions" (
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
    cookie_digest BLOB UNIQUE, previous_kid TEXT,
    CHECK (
        (cookie_digest IS NULL AND current_jti IS NOT NULL AND current_iat IS NOT NULL AND current_kid IS NOT NULL)
        OR (cookie_digest IS NOT NULL AND current_jti IS NULL AND current_iat IS NULL AND current_kid IS NULL)
    )
) STRICT;
CREATE INDEX sessions_account ON sessions (realm, account_id);
CREATE INDEX sessions_expires ON sessions (expires_at);
CREATE TABLE files (
    id TEXT PRIMARY KEY,
    -- The generated name, and the one that was sent.
    filename TEXT NOT NULL,
    original_filename TEXT NOT NULL,
    mime_type TEXT NOT NULL,
    -- Bytes.
    size INTEGER NOT NULL CHECK (size >= 0),
    storage_path TEXT NOT NULL,
    storage_type TEXT NOT NULL,
    -- The record that it was uploaded for, if for one.
    record_id TEXT,
    field_name TEXT,
    -- Whose upload it is: 'users' or the id of an auth collection, and the account. Neither where the operator put it there.
    realm TEXT,
    user_id TEXT,
    is_thumbnail INTEGER NOT NULL DEFAULT 0,
    protected INTEGER NOT NULL DEFAULT 0,
    -- What a thumbnail was made of.
    parent_file_id TEXT,
    -- SHA-256 of the bytes, in hex.
    checksum TEXT NOT NULL,
    created TEXT NOT NULL,
    updated TEXT NOT NULL, collection_id TEXT,
    CHECK ((realm IS NULL) = (user_id IS NULL))
) STRICT;
CREATE INDEX files_created ON files (created, id);
CREATE INDEX files_parent ON files (parent_file_id) WHERE parent_file_id IS NOT NULL;
CREATE TABLE signing_key_ends (
    kid TEXT NOT NULL,
    purpose TEXT NOT NULL,
    latest_exp INTEGER NOT NULL,
    PRIMARY KEY (kid, purpose)
) STRICT;
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
CREATE TABLE data_keys (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- What it is for: 'audit', say. At most one of a purpose is in use.
    purpose TEXT NOT NULL,
    -- The key, sealed; which key of the ring opens it stands in the text.
    wrapped TEXT NOT NULL,
    created TEXT NOT NULL,
    retired TEXT
) STRICT;
CREATE UNIQUE INDEX data_keys_in_use ON data_keys (purpose) WHERE retired IS NULL;
CREATE TABLE audit_segments (
    number INTEGER PRIMARY KEY,
    key_id INTEGER NOT NULL,
    opened TEXT NOT NULL,
    -- Added to what orders rows: nothing here, on PostgreSQL the difference between transaction numbers before and after a restore.
    shift INTEGER NOT NULL,
    -- Links before this segment, and the hash it goes on from; rows beyond this position belong to it.
    first_link INTEGER NOT NULL,
    first_hash BLOB NOT NULL,
    first_position INTEGER NOT NULL,
    closed TEXT,
    links INTEGER,
    last_hash BLOB,
    last_position INTEGER,
    seal BLOB,
    pruned TEXT,
    prune_seal BLOB
) STRICT;
CREATE TABLE audit_blocks (
    number INTEGER PRIMARY KEY,
    segment INTEGER NOT NULL,
    first_link INTEGER NOT NULL,
    -- Rows after the first and up to the last of these positions are linked here.
    after_position INTEGER NOT NULL,
    last_position INTEGER NOT NULL,
    entries BLOB NOT NULL,
    created TEXT NOT NULL
) STRICT;
CREATE INDEX audit_blocks_segment ON audit_blocks (segment, number);
CREATE TRIGGER audit_blocks_unchanged BEFORE UPDATE ON audit_blocks
BEGIN
    SELECT RAISE(ABORT, 'audit_blocks is append-only');
END;
CREATE TRIGGER audit_blocks_kept BEFORE DELETE ON audit_blocks
WHEN NOT EXISTS (SELECT 1 FROM audit_segments AS s WHERE s.number = OLD.segment AND s.pruned IS NOT NULL)
BEGIN
    SELECT RAISE(ABORT, 'audit_blocks is append-only');
END;
CREATE TRIGGER audit_segments_kept BEFORE DELETE ON audit_segments
BEGIN
    SELECT RAISE(ABORT, 'audit_segments is append-only');
END;
CREATE TRIGGER audit_segments_unchanged BEFORE UPDATE ON audit_segments
WHEN OLD.pruned IS NOT NULL
    OR (OLD.closed IS NOT NULL AND NEW.pruned IS NULL)
    OR (OLD.closed IS NOT NULL AND (NEW.closed, NEW.links, NEW.last_hash, NEW.last_position, NEW.seal)
        IS NOT (OLD.closed, OLD.links, OLD.last_hash, OLD.last_position, OLD.seal))
    OR (NEW.number, NEW.key_id, NEW.opened, NEW.shift, NEW.first_link, NEW.first_hash, NEW.first_position)
        IS NOT (OLD.number, OLD.key_id, OLD.opened, OLD.shift, OLD.first_link, OLD.first_hash, OLD.first_position)
BEGIN
    SELECT RAISE(ABORT, 'audit_segments is append-only');
END;
CREATE TABLE attempts (
    -- HMAC-SHA-256 under the one key below: what is guessed at cannot be read back.
    counter BLOB PRIMARY KEY,
    -- Whose it is, so that an unlock finds all of them; null where nobody has the name.
    realm TEXT,
    account_id TEXT,
    failures INTEGER NOT NULL,
    -- Unix milliseconds.
    last_at INTEGER NOT NULL,
    -- 0: not locked.
    locked_until INTEGER NOT NULL
, generation INTEGER NOT NULL DEFAULT 0, looked_at INTEGER NOT NULL DEFAULT 0, undecided INTEGER NOT NULL DEFAULT 0, begun_at INTEGER NOT NULL DEFAULT 0, last_guess INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE INDEX attempts_account ON attempts (realm, account_id);
CREATE INDEX attempts_last ON attempts (last_at);
CREATE TABLE attempts_key (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    bytes BLOB NOT NULL
) STRICT;
CREATE TABLE devices (
    digest BLOB NOT NULL,
    realm TEXT NOT NULL,
    account_id TEXT NOT NULL,
    -- Unix seconds.
    created INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (digest, realm, account_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX devices_account ON devices (realm, account_id, created);
CREATE INDEX devices_expires ON devices (expires_at);
CREATE TABLE one_time_codes (
    realm TEXT NOT NULL,
    account_id TEXT NOT NULL,
    digest BLOB NOT NULL,
    tries_left INTEGER NOT NULL,
    -- Unix milliseconds.
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (realm, account_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX one_time_codes_expires ON one_time_codes (expires_at);
CREATE TABLE second_factors (
    realm TEXT NOT NULL,
    account_id TEXT NOT NULL,
    secret BLOB NOT NULL,
    -- Off until a first code has shown that the app has the secret.
    enabled INTEGER NOT NULL DEFAULT 0,
    -- The last 30-second step whose code was taken: none is taken twice.
    last_step INTEGER,
    created TEXT NOT NULL,
    PRIMARY KEY (realm, account_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE backup_codes (
    realm TEXT NOT NULL,
    account_id TEXT NOT NULL,
    digest BLOB NOT NULL,
    PRIMARY KEY (realm, account_id, digest)
) STRICT, WITHOUT ROWID;
CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    name TEXT NOT NULL,
    -- Comma list, as it is shown.
    scopes TEXT NOT NULL,
    active INTEGER NOT NULL DEFAULT 1,
    -- Unix milliseconds; null: never.
    expires_at INTEGER,
    -- Comma list of networks; empty: from anywhere.
    allowed_cidrs TEXT NOT NULL,
    rate_limit_per_minute INTEGER,
    -- To the minute.
    last_used_at TEXT,
    last_used_ip TEXT,
    created TEXT NOT NULL,
    updated TEXT NOT NULL
) STRICT;
CREATE INDEX api_keys_user ON api_keys (user_id, created, id);
CREATE TABLE api_key_secrets (
    -- The eight digits that name the text in public.
    prefix TEXT PRIMARY KEY,
    key_id TEXT NOT NULL,
    -- SHA-256 of the whole text.
    digest BLOB NOT NULL,
    -- Unix milliseconds; null: this is the one in force.
    ends_at INTEGER
) STRICT;
CREATE INDEX api_key_secrets_key ON api_key_secrets (key_id);
CREATE TABLE ip_rules (
    id TEXT PRIMARY KEY,
    cidr TEXT NOT NULL,
    rule_type TEXT NOT NULL CHECK (rule_type IN ('allow', 'block')),
    reason TEXT,
    -- From then on it no longer holds; NULL: it holds for ever.
    expires_at TEXT,
    created_by TEXT,
    created TEXT NOT NULL
) STRICT;
CREATE TABLE limit_windows (
    -- Class, kind of identity and number of the identity.
    key BLOB PRIMARY KEY,
    windows BLOB NOT NULL,
    -- Unix milliseconds of the last change.
    touched INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
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
CREATE INDEX files_record ON files (collection_id, record_id) WHERE collection_id IS NOT NULL;
CREATE TABLE audit_sinks (
    name TEXT PRIMARY KEY,
    -- Place of the last row taken.
    position INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    -- Rows taken in all.
    delivered INTEGER NOT NULL,
    -- Unix milliseconds: until then one node is at it, or nobody tries.
    claimed_until INTEGER NOT NULL,
    -- Since when it refuses, and what it said last.
    failing_since TEXT,
    error TEXT
) STRICT;
CREATE TABLE roles (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    -- The name in lower case: it is unique whatever the case.
    name_folded TEXT NOT NULL UNIQUE,
    -- JSON array of names.
    permissions TEXT NOT NULL,
    created TEXT NOT NULL,
    updated TEXT NOT NULL
) STRICT;
CREATE TABLE user_roles (
    user_id TEXT NOT NULL,
    role_id TEXT NOT NULL,
    PRIMARY KEY (user_id, role_id)
) STRICT;
CREATE INDEX user_roles_role ON user_roles (role_id);
CREATE TABLE secret_rotations (
    name TEXT PRIMARY KEY,
    -- Who rotates it now, until then (unix seconds): nobody else does meanwhile.
    holder TEXT,
    held_until INTEGER NOT NULL,
    -- When it was last rotated from here, unix seconds.
    rotated_at INTEGER,
    -- What admins were last told about its age.
    told TEXT
) STRICT;
CREATE TABLE settings (
    category TEXT NOT NULL,
    key TEXT NOT NULL,
    id TEXT NOT NULL,
    -- JSON.
    value TEXT NOT NULL,
    description TEXT,
    updated TEXT NOT NULL,
    PRIMARY KEY (category, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE email_templates (
    -- The kind of mail.
    kind TEXT PRIMARY KEY,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    updated TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE "request_logs" (
    number INTEGER PRIMARY KEY,
    method TEXT NOT NULL,
    -- Path and names of query parameters; their values are never stored.
    url TEXT NOT NULL,
    status INTEGER NOT NULL,
    -- Microseconds.
    duration INTEGER NOT NULL,
    ip_address TEXT NOT NULL,
    -- Null for guests.
    user_id TEXT
) STRICT;
CREATE TABLE "audit_logs" (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    created TEXT NOT NULL,
    event_type TEXT NOT NULL,
    event_action TEXT NOT NULL,
    severity TEXT NOT NULL,
    outcome TEXT NOT NULL,
    user_id TEXT,
    user_email TEXT,
    ip_address TEXT,
    user_agent TEXT,
    resource_type TEXT,
    resource_id TEXT,
    description TEXT NOT NULL,
    -- JSON object.
    details TEXT,
    error_message TEXT,
    -- Which data key `mac` was made with; it is over all columns but `seq`.
    key_id INTEGER NOT NULL,
    mac BLOB NOT NULL
) STRICT;
CREATE INDEX audit_logs_notable ON audit_logs (event_type, event_action, seq) WHERE event_type <> 'record';
CREATE TRIGGER audit_logs_unchanged BEFORE UPDATE ON audit_logs
BEGIN
    SELECT RAISE(ABORT, 'audit_logs is append-only');
END;
CREATE TRIGGER audit_logs_kept BEFORE DELETE ON audit_logs
WHEN NOT EXISTS (
    SELECT 1 FROM audit_segments AS s
    WHERE s.pruned IS NOT NULL AND OLD.seq > s.first_position AND OLD.seq <= s.last_position
)
BEGIN
    SELECT RAISE(ABORT, 'audit_logs is append-only');
END;
CREATE TABLE audit_users (
    account_id TEXT NOT NULL,
    -- The first and the last event of a stretch. Events of others may lie between them, a few.
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    PRIMARY KEY (account_id, first_seq)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER audit_users_unchanged BEFORE UPDATE ON audit_users
BEGIN
    SELECT RAISE(ABORT, 'audit_users is append-only');
END;
CREATE TRIGGER audit_users_kept BEFORE DELETE ON audit_users
WHEN NOT EXISTS (
    SELECT 1 FROM audit_segments AS s
    WHERE s.pruned IS NOT NULL AND OLD.first_seq > s.first_position AND OLD.first_seq <= s.last_position
)
BEGIN
    SELECT RAISE(ABORT, 'audit_users is append-only');
END;
INSERT INTO schema_generation (generation) VALUES (0);
