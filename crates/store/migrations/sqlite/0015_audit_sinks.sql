-- How far each place outside has taken the audit log. What it has not taken waits in the log itself.
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
