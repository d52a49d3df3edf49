-- Random keys of the product itself: what they protect is never keyed by SECRET_KEY, which only wraps them.
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

-- One row an event, written in the transaction of what it describes.
CREATE TABLE audit_logs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
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
-- Changes of records outnumber everything else by far: they are found by the account alone.
CREATE INDEX audit_logs_notable ON audit_logs (event_type, event_action, seq) WHERE event_type <> 'record';
CREATE INDEX audit_logs_user ON audit_logs (user_id, seq) WHERE user_id IS NOT NULL;

-- The chain in stretches, so that old ones can go as a whole. What closes and what prunes one is sealed with its key.
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

-- Links of the chain, many a row: for each the number of its audit row and the hash up to there.
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

-- Append-only, but for segments that were sealed as pruned.
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
