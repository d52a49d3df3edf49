-- That an id stands once is seen when the log is verified: an index that every event pays for shows no more, since who puts a row back
-- past the product does not meet it.
CREATE TABLE audit_logs_without (
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
INSERT INTO audit_logs_without SELECT * FROM audit_logs ORDER BY seq;
-- Numbers go on where they were, though the rows that had the last ones may be gone.
DELETE FROM sqlite_sequence WHERE name = 'audit_logs_without';
INSERT INTO sqlite_sequence (name, seq) SELECT 'audit_logs_without', seq FROM sqlite_sequence WHERE name = 'audit_logs';
DROP TABLE audit_logs;
ALTER TABLE audit_logs_without RENAME TO audit_logs;
-- Changes of records outnumber everything else by far: they are found by the account alone.
CREATE INDEX audit_logs_notable ON audit_logs (event_type, event_action, seq) WHERE event_type <> 'record';
CREATE INDEX audit_logs_user ON audit_logs (user_id, seq) WHERE user_id IS NOT NULL;
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
