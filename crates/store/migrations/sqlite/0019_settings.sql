-- Settings that admins change while the server runs. Those that come with the start stand in its environment.
CREATE TABLE settings (
    category TEXT NOT NULL,
    key TEXT NOT NULL,
    id TEXT NOT NULL,
    -- JSON.
    value TEXT NOT NULL,
    description TEXT,
    updated TEXT NOT NULL,
    PRIMARY KEY (category, key)
) STRICT, WITHOUT ROWID;

-- Texts of mails that take the place of those delivered with the program.
CREATE TABLE email_templates (
    -- The kind of mail.
    kind TEXT PRIMARY KEY,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    updated TEXT NOT NULL
) STRICT, WITHOUT ROWID;
