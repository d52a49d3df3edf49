-- One row an upload, and one a thumbnail that was made of it. The bytes lie where storage_type says.
CREATE TABLE files (
    id TEXT PRIMARY KEY,
    -- The generated name, and the one that was sent.
    filename TEXT NOT NULL,
    original_filename TEXT NOT NULL,
    mime_type TEXT NOT NULL,
    -- Bytes.
    size INTEGER NOT NULL CHECK (size >= 0),
    storage_path TEXT NOT NULL,
    storage_type TEXT NOT NULL,
    -- The record that it was uploaded for, if for one.
    collection_name TEXT,
    record_id TEXT,
    field_name TEXT,
    -- Whose upload it is: 'users' or the id of an auth collection, and the account. Neither where the operator put it there.
    realm TEXT,
    user_id TEXT,
    is_thumbnail INTEGER NOT NULL DEFAULT 0,
    protected INTEGER NOT NULL DEFAULT 0,
    -- What a thumbnail was made of.
    parent_file_id TEXT,
    -- SHA-256 of the bytes, in hex.
    checksum TEXT NOT NULL,
    created TEXT NOT NULL,
    updated TEXT NOT NULL,
    CHECK ((realm IS NULL) = (user_id IS NULL))
) STRICT;
CREATE INDEX files_created ON files (created, id);
CREATE INDEX files_record ON files (collection_name, record_id);
CREATE INDEX files_parent ON files (parent_file_id) WHERE parent_file_id IS NOT NULL;
