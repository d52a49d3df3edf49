-- Secrets of the settings that are rotated from here, by the names of their settings. Never what they are.
CREATE TABLE secret_rotations (
    name TEXT PRIMARY KEY,
    -- Who rotates it now, until then (unix seconds): nobody else does meanwhile.
    holder TEXT,
    held_until INTEGER NOT NULL,
    -- When it was last rotated from here, unix seconds.
    rotated_at INTEGER,
    -- What admins were last told about its age.
    told TEXT
) STRICT;
