-- What was applied; checksum is the SHA-256 of the file.
CREATE TABLE schema_migrations (
    version    INTEGER PRIMARY KEY,
    name       TEXT NOT NULL,
    checksum   TEXT NOT NULL,
    applied_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

-- How many rows each collection has, moved with every group of writes.
CREATE TABLE record_counts (
    collection_id TEXT PRIMARY KEY,
    n             INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Events that wait to be told: written with the row they are about, taken out when everybody was told.
CREATE TABLE outbox (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    topic   TEXT NOT NULL,
    payload TEXT NOT NULL,
    created TEXT NOT NULL
) STRICT;
