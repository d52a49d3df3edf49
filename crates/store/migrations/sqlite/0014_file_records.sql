-- The collection that a file belongs to, by its id: a collection may be renamed, and another may take its name.
DROP INDEX files_record;
ALTER TABLE files DROP COLUMN collection_name;
ALTER TABLE files ADD COLUMN collection_id TEXT;
CREATE INDEX files_record ON files (collection_id, record_id) WHERE collection_id IS NOT NULL;
