-- How much was uploaded, without reading the ledger: what a statement changes in `uploads` is appended to `usage_deltas` in the
-- same transaction, and folded into `usage` later. Both together are exact at any moment, whoever writes. Appending makes
-- nobody wait for anybody; one row for each tenant and hour that all add to would.
CREATE TABLE usage_deltas (
    tenant_id uuid NOT NULL,
    -- When the uploads were issued, whatever became of them later.
    hour timestamptz NOT NULL,
    kind text,
    state text NOT NULL,
    ext text NOT NULL,
    caller_kind text NOT NULL,
    api_key_id uuid,
    uploads bigint NOT NULL,
    promised_bytes bigint NOT NULL,
    stored_bytes bigint NOT NULL
);
-- It is emptied all the time.
ALTER TABLE usage_deltas SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

CREATE TABLE usage (
    tenant_id uuid NOT NULL,
    dimension text NOT NULL CHECK (dimension IN ('total', 'type', 'state', 'ext', 'api_key')),
    period text NOT NULL CHECK (period IN ('hour', 'day')),
    start timestamptz NOT NULL,
    -- Of the dimension; an API key's is its row's id.
    value text NOT NULL,
    uploads bigint NOT NULL,
    promised_bytes bigint NOT NULL,
    stored_bytes bigint NOT NULL,
    PRIMARY KEY (tenant_id, dimension, period, start, value)
) WITH (fillfactor = 80);

CREATE FUNCTION stored_bytes(state text, size_bytes bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN state IN ('uploaded', 'mismatched') THEN coalesce(size_bytes, 0) ELSE 0 END;

CREATE FUNCTION count_inserted_uploads() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO usage_deltas
    SELECT tenant_id, date_bin('1 hour', issued_at, 'epoch'), kind, state, ext, caller_kind, CASE caller_kind WHEN 'api_key' THEN caller_id END,
           count(*), coalesce(sum(declared_size_bytes), 0), sum(stored_bytes(state, size_bytes))
    FROM inserted GROUP BY 1, 2, 3, 4, 5, 6, 7;
    RETURN NULL;
END
$$;

CREATE FUNCTION count_updated_uploads() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO usage_deltas
    SELECT tenant_id, date_bin('1 hour', issued_at, 'epoch'), kind, state, ext, caller_kind, CASE caller_kind WHEN 'api_key' THEN caller_id END,
           sum(one), coalesce(sum(one * declared_size_bytes), 0), sum(one * stored_bytes(state, size_bytes))
    FROM (SELECT -1 AS one, * FROM before UNION ALL SELECT 1, * FROM after) AS changed
    GROUP BY 1, 2, 3, 4, 5, 6, 7
    HAVING sum(one) <> 0 OR coalesce(sum(one * declared_size_bytes), 0) <> 0 OR sum(one * stored_bytes(state, size_bytes)) <> 0;
    RETURN NULL;
END
$$;

CREATE FUNCTION count_deleted_uploads() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO usage_deltas
    SELECT tenant_id, date_bin('1 hour', issued_at, 'epoch'), kind, state, ext, caller_kind, CASE caller_kind WHEN 'api_key' THEN caller_id END,
           -count(*), -coalesce(sum(declared_size_bytes), 0), -sum(stored_bytes(state, size_bytes))
    FROM deleted GROUP BY 1, 2, 3, 4, 5, 6, 7;
    RETURN NULL;
END
$$;

DO $$
DECLARE
    function text;
BEGIN
    -- Functions with their owner's rights must not find other tables than these.
    FOREACH function IN ARRAY ARRAY['count_inserted_uploads', 'count_updated_uploads', 'count_deleted_uploads'] LOOP
        EXECUTE format('ALTER FUNCTION %I SET search_path = %I, pg_temp', function, current_schema());
        EXECUTE format('REVOKE ALL ON FUNCTION %I FROM PUBLIC', function);
    END LOOP;
END
$$;

-- The gateway's own connections count what they insert in the same statement, and say so once: that costs half as much.
CREATE TRIGGER uploads_count_inserted AFTER INSERT ON uploads REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT WHEN (coalesce(current_setting('presign_gateway.counts_itself', true), '') <> 'yes')
    EXECUTE FUNCTION count_inserted_uploads();
CREATE TRIGGER uploads_count_updated AFTER UPDATE ON uploads REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION count_updated_uploads();
CREATE TRIGGER uploads_count_deleted AFTER DELETE ON uploads REFERENCING OLD TABLE AS deleted
    FOR EACH STATEMENT EXECUTE FUNCTION count_deleted_uploads();

-- What is there already. The triggers hold writers off until this is done.
INSERT INTO usage_deltas
SELECT tenant_id, date_bin('1 hour', issued_at, 'epoch'), kind, state, ext, caller_kind, CASE caller_kind WHEN 'api_key' THEN caller_id END,
       count(*), coalesce(sum(declared_size_bytes), 0), sum(stored_bytes(state, size_bytes))
FROM uploads GROUP BY 1, 2, 3, 4, 5, 6, 7;
