-- One row an answered request. Kept in the order of time, which is the order it is read and swept in: no second index to write.
CREATE TABLE request_logs (
    created TEXT NOT NULL,
    id TEXT NOT NULL,
    method TEXT NOT NULL,
    -- Path and names of query parameters; their values are never stored.
    url TEXT NOT NULL,
    status INTEGER NOT NULL,
    -- Microseconds.
    duration INTEGER NOT NULL,
    ip_address TEXT NOT NULL,
    -- Null for guests.
    user_id TEXT,
    PRIMARY KEY (created, id)
) STRICT, WITHOUT ROWID;
