-- What the collections are. Their records lie in tables of their own, prefixed `c_`.
CREATE TABLE collections (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    -- Names are unique whatever their case.
    name_folded TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL CHECK (type IN ('base', 'auth', 'view')),
    -- JSON array of fields, JSON object of options, JSON array of the indexes that an admin asked for.
    fields TEXT NOT NULL,
    options TEXT NOT NULL,
    indexes TEXT NOT NULL DEFAULT '[]',
    -- Null: admins only. Empty: everybody. Else an expression.
    list_rule TEXT,
    view_rule TEXT,
    create_rule TEXT,
    update_rule TEXT,
    delete_rule TEXT,
    manage_rule TEXT,
    view_query TEXT,
    system INTEGER NOT NULL DEFAULT 0,
    -- Counts changes: a write that was prepared against an older one starts again.
    version INTEGER NOT NULL DEFAULT 1,
    created TEXT NOT NULL,
    updated TEXT NOT NULL
) STRICT;
CREATE INDEX collections_created ON collections (created, id);

-- One row: goes up with every change of any collection, so that of two snapshots the newer is known.
CREATE TABLE schema_generation (
    generation INTEGER NOT NULL
) STRICT;
INSERT INTO schema_generation (generation) VALUES (0);
