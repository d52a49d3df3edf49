-- One row an upload, and one a thumbnail that was made of it. The bytes lie where storage_type says.
CREATE TABLE files (
    id TEXT COLLATE "C" PRIMARY KEY,
    -- The generated name, and the one that was sent.
    filename TEXT COLLATE "C" NOT NULL,
    original_filename TEXT COLLATE "C" NOT NULL,
    mime_type TEXT COLLATE "C" NOT NULL,
    -- Bytes.
    size BIGINT NOT NULL CHECK (size >= 0),
    storage_path TEXT COLLATE "C" NOT NULL,
    storage_type TEXT COLLATE "C" NOT NULL,
    -- The record that it was uploaded for, if for one.
    collection_name TEXT COLLATE "C",
    record_id TEXT COLLATE "C",
    field_name TEXT COLLATE "C",
    -- Whose upload it is: 'users' or the id of an auth collection, and the account. Neither where the operator put it there.
    realm TEXT COLLATE "C",
    user_id TEXT COLLATE "C",
    is_thumbnail BOOLEAN NOT NULL DEFAULT FALSE,
    protected BOOLEAN NOT NULL DEFAULT FALSE,
    -- What a thumbnail was made of.
    parent_file_id TEXT COLLATE "C",
    -- SHA-256 of the bytes, in hex.
    checksum TEXT COLLATE "C" NOT NULL,
    created TEXT COLLATE "C" NOT NULL,
    updated TEXT COLLATE "C" NOT NULL,
    CHECK ((realm IS NULL) = (user_id IS NULL))
);
CREATE INDEX files_created ON files (created, id);
CREATE INDEX files_record ON files (collection_name, record_id);
CREATE INDEX files_parent ON files (parent_file_id) WHERE parent_file_id IS NOT NULL;
