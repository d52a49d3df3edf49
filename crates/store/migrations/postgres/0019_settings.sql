-- Settings that admins change while the server runs. Those that come with the start stand in its environment.
CREATE TABLE settings (
    category TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    -- JSON.
    value TEXT NOT NULL,
    description TEXT,
    updated TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (category, key)
);

-- Texts of mails that take the place of those delivered with the program.
CREATE TABLE email_templates (
    -- The kind of mail.
    kind TEXT COLLATE "C" PRIMARY KEY,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    updated TEXT COLLATE "C" NOT NULL
);
