-- Where in the log the events of each account stand: stretches of linked rows, written with the block that links them. An index on the
-- rows themselves would have every commit write a page of it for each account that it speaks of.
CREATE TABLE audit_users (
    account_id TEXT NOT NULL,
    -- The first and the last event of a stretch. Events of others may lie between them, a few.
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    PRIMARY KEY (account_id, first_seq)
) STRICT, WITHOUT ROWID;
INSERT INTO audit_users
SELECT user_id, seq, seq FROM audit_logs
WHERE user_id IS NOT NULL AND seq <= coalesce((SELECT last_position FROM audit_blocks ORDER BY number DESC LIMIT 1), 0)
ORDER BY user_id, seq;
DROP INDEX audit_logs_user;

-- Append-only as the rows are.
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
