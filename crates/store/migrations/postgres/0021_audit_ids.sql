-- That an id stands once is seen when the log is verified: an index that every event pays for shows no more, since who puts a row back
-- past the product does not meet it.
ALTER TABLE audit_logs DROP CONSTRAINT audit_logs_id_key;
-- Shorter, and without a condition that is looked at for every event: nearly each has an account.
DROP INDEX audit_logs_user;
CREATE INDEX audit_logs_user ON audit_logs (user_id, position);
