-- How far each place outside has taken the audit log. What it has not taken waits in the log itself.
CREATE TABLE audit_sinks (
    name TEXT COLLATE "C" PRIMARY KEY,
    -- Place of the last row taken.
    position BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    -- Rows taken in all.
    delivered BIGINT NOT NULL,
    -- Unix milliseconds: until then one node is at it, or nobody tries.
    claimed_until BIGINT NOT NULL,
    -- Since when it refuses, and what it said last.
    failing_since TEXT COLLATE "C",
    error TEXT COLLATE "C"
);
