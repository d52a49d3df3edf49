-- The collections of users live apart: none of them can ever reach a system table.
CREATE SCHEMA collections;

-- What was applied; checksum is the SHA-256 of the file.
CREATE TABLE schema_migrations (
    version    BIGINT PRIMARY KEY,
    name       TEXT NOT NULL,
    checksum   TEXT NOT NULL,
    applied_at TEXT NOT NULL DEFAULT to_char(now() AT TIME ZONE 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
);

-- Kept for the same shape on both engines; rows are counted here when they are asked for.
CREATE TABLE record_counts (
    collection_id TEXT PRIMARY KEY,
    n             BIGINT NOT NULL
);

-- Events that wait to be told: written with the row they are about, taken out when everybody was told.
CREATE TABLE outbox (
    id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic   TEXT NOT NULL,
    payload TEXT NOT NULL,
    created TEXT NOT NULL
);
