-- Random keys of the product itself: what they protect is never keyed by SECRET_KEY, which only wraps them.
CREATE TABLE data_keys (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- What it is for: 'audit', say. At most one of a purpose is in use.
    purpose TEXT COLLATE "C" NOT NULL,
    -- The key, sealed; which key of the ring opens it stands in the text.
    wrapped TEXT COLLATE "C" NOT NULL,
    created TEXT COLLATE "C" NOT NULL,
    retired TEXT COLLATE "C"
);
CREATE UNIQUE INDEX data_keys_in_use ON data_keys (purpose) WHERE retired IS NULL;

-- One row an event, written in the transaction of what it describes.
CREATE TABLE audit_logs (
    -- The writing transaction's number, shifted (see audit_segments): once all older ones have ended, no row can come before it.
    position BIGINT NOT NULL,
    seq BIGINT GENERATED ALWAYS AS IDENTITY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    created TEXT COLLATE "C" NOT NULL,
    event_type TEXT COLLATE "C" NOT NULL,
    event_action TEXT COLLATE "C" NOT NULL,
    severity TEXT COLLATE "C" NOT NULL,
    outcome TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C",
    user_email TEXT COLLATE "C",
    ip_address TEXT COLLATE "C",
    user_agent TEXT COLLATE "C",
    resource_type TEXT COLLATE "C",
    resource_id TEXT COLLATE "C",
    description TEXT COLLATE "C" NOT NULL,
    -- JSON object.
    details TEXT COLLATE "C",
    error_message TEXT COLLATE "C",
    -- Which data key `mac` was made with; it is over all columns but `position` and `seq`.
    key_id BIGINT NOT NULL,
    mac BYTEA NOT NULL,
    PRIMARY KEY (position, seq)
);
-- Changes of records outnumber everything else by far: they are found by the account alone.
CREATE INDEX audit_logs_notable ON audit_logs (event_type, event_action, position, seq) WHERE event_type <> 'record';
CREATE INDEX audit_logs_user ON audit_logs (user_id, position, seq) WHERE user_id IS NOT NULL;

-- The chain in stretches, so that old ones can go as a whole. What closes and what prunes one is sealed with its key.
CREATE TABLE audit_segments (
    number BIGINT PRIMARY KEY,
    key_id BIGINT NOT NULL,
    opened TEXT COLLATE "C" NOT NULL,
    -- Added to transaction numbers: they begin anew in the cluster that a dump is restored into, positions may not.
    shift BIGINT NOT NULL,
    -- Links before this segment, and the hash it goes on from; rows beyond this position belong to it.
    first_link BIGINT NOT NULL,
    first_hash BYTEA NOT NULL,
    first_position BIGINT NOT NULL,
    closed TEXT COLLATE "C",
    links BIGINT,
    last_hash BYTEA,
    last_position BIGINT,
    seal BYTEA,
    pruned TEXT COLLATE "C",
    prune_seal BYTEA
);

-- Links of the chain, many a row: for each the number of its audit row and the hash up to there.
CREATE TABLE audit_blocks (
    number BIGINT PRIMARY KEY,
    segment BIGINT NOT NULL,
    first_link BIGINT NOT NULL,
    -- Rows after the first and up to the last of these positions are linked here.
    after_position BIGINT NOT NULL,
    last_position BIGINT NOT NULL,
    entries BYTEA NOT NULL,
    created TEXT COLLATE "C" NOT NULL
);
CREATE INDEX audit_blocks_segment ON audit_blocks (segment, number);

-- Append-only, but for segments that were sealed as pruned.
CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END
$$;
CREATE FUNCTION audit_logs_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM audit_segments AS s
        WHERE s.pruned IS NOT NULL AND OLD.position > s.first_position AND OLD.position <= s.last_position;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'audit_logs is append-only';
    END IF;
    RETURN OLD;
END
$$;
CREATE FUNCTION audit_blocks_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM audit_segments AS s WHERE s.number = OLD.segment AND s.pruned IS NOT NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'audit_blocks is append-only';
    END IF;
    RETURN OLD;
END
$$;
CREATE TRIGGER audit_logs_unchanged BEFORE UPDATE ON audit_logs FOR EACH ROW EXECUTE FUNCTION audit_append_only();
CREATE TRIGGER audit_logs_kept BEFORE DELETE ON audit_logs FOR EACH ROW EXECUTE FUNCTION audit_logs_kept();
CREATE TRIGGER audit_logs_whole BEFORE TRUNCATE ON audit_logs FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only();
CREATE TRIGGER audit_blocks_unchanged BEFORE UPDATE ON audit_blocks FOR EACH ROW EXECUTE FUNCTION audit_append_only();
CREATE TRIGGER audit_blocks_kept BEFORE DELETE ON audit_blocks FOR EACH ROW EXECUTE FUNCTION audit_blocks_kept();
CREATE TRIGGER audit_blocks_whole BEFORE TRUNCATE ON audit_blocks FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only();
CREATE TRIGGER audit_segments_kept BEFORE DELETE ON audit_segments FOR EACH ROW EXECUTE FUNCTION audit_append_only();
CREATE TRIGGER audit_segments_whole BEFORE TRUNCATE ON audit_segments FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only();
CREATE TRIGGER audit_segments_unchanged BEFORE UPDATE ON audit_segments FOR EACH ROW WHEN (
    OLD.pruned IS NOT NULL
    OR (OLD.closed IS NOT NULL AND NEW.pruned IS NULL)
    OR (OLD.closed IS NOT NULL AND (NEW.closed, NEW.links, NEW.last_hash, NEW.last_position, NEW.seal)
        IS DISTINCT FROM (OLD.closed, OLD.links, OLD.last_hash, OLD.last_position, OLD.seal))
    OR (NEW.number, NEW.key_id, NEW.opened, NEW.shift, NEW.first_link, NEW.first_hash, NEW.first_position)
        IS DISTINCT FROM (OLD.number, OLD.key_id, OLD.opened, OLD.shift, OLD.first_link, OLD.first_hash, OLD.first_position)
) EXECUTE FUNCTION audit_append_only();
