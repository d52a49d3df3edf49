-- A row is known by a number that begins with its millisecond and tells it apart from others of that millisecond: rows are appended to
-- one table in the order of time, and there is no index to keep.
CREATE TABLE request_logs_by_number (
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
INSERT INTO request_logs_by_number
SELECT
    ((unixepoch(created) * 1000 + CAST(substr(created, 21, 3) AS INTEGER)) << 21)
        + row_number() OVER (PARTITION BY created ORDER BY id),
    method, url, status, duration, ip_address, user_id
FROM request_logs ORDER BY 1;
DROP TABLE request_logs;
ALTER TABLE request_logs_by_number RENAME TO request_logs;
