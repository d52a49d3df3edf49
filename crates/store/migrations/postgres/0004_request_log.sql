-- One row an answered request. The one index is in the order of time, which is the order it is read and swept in.
CREATE TABLE request_logs (
    created TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    method TEXT COLLATE "C" NOT NULL,
    -- Path and names of query parameters; their values are never stored.
    url TEXT COLLATE "C" NOT NULL,
    status BIGINT NOT NULL,
    -- Microseconds.
    duration BIGINT NOT NULL,
    ip_address TEXT COLLATE "C" NOT NULL,
    -- Null for guests.
    user_id TEXT COLLATE "C",
    PRIMARY KEY (created, id)
);
