-- Of the guesses that are counted, those that are looked at: while some of them have no outcome yet, further ones wait for it.
-- Drawn anew when counting begins anew.
ALTER TABLE attempts ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
-- Never more than ACCOUNT_LOCKOUT_ATTEMPTS.
ALTER TABLE attempts ADD COLUMN looked_at INTEGER NOT NULL DEFAULT 0;
-- Those of them whose outcome is not known.
ALTER TABLE attempts ADD COLUMN undecided INTEGER NOT NULL DEFAULT 0;
-- When the last one began, unix milliseconds: what is never decided holds nobody up for long.
ALTER TABLE attempts ADD COLUMN begun_at INTEGER NOT NULL DEFAULT 0;
-- Which guess that was.
ALTER TABLE attempts ADD COLUMN last_guess INTEGER NOT NULL DEFAULT 0;
UPDATE attempts SET looked_at = failures;
