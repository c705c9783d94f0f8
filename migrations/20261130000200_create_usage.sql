-- How much was uploaded, without reading the ledger (docs/adr/0008). Whoever changes `uploads` appends the difference in the same
-- transaction, and a job folds the differences into `usage`. Both together are exact at any moment. Appending makes no writer wait for
-- another; a counter for each tenant and hour would.

-- The functions below run with their owner's rights and must find these tables and no others. The setting ends with this transaction.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- The rollup: a row for each tenant, hour and day, in total and by each dimension.
CREATE TABLE usage (
    tenant_id uuid NOT NULL,
    dimension text NOT NULL,
    period text NOT NULL,
    start timestamptz NOT NULL,
    -- The value of the dimension. For an API key, the id of its row.
    value text NOT NULL,
    uploads bigint NOT NULL,
    promised_bytes bigint NOT NULL,
    stored_bytes bigint NOT NULL,
    CONSTRAINT usage_pkey PRIMARY KEY (tenant_id, dimension, period, start, value),
    CONSTRAINT usage_dimension_check CHECK (dimension IN ('total', 'type', 'state', 'ext', 'api_key')),
    CONSTRAINT usage_period_check CHECK (period IN ('hour', 'day'))
-- Rows are updated again and again: leave room in the page for the new version.
) WITH (fillfactor = 80);

-- Differences that are not folded yet, a row for each group of uploads.
CREATE TABLE usage_deltas (
    tenant_id uuid NOT NULL,
    -- The hour in which the uploads were issued, whatever happened to them later.
    hour timestamptz NOT NULL,
    kind text,
    state text NOT NULL,
    ext text NOT NULL,
    caller_kind text NOT NULL,
    api_key_id uuid,
    uploads bigint NOT NULL,
    promised_bytes bigint NOT NULL,
    stored_bytes bigint NOT NULL
-- The table is emptied all the time, so a share of its rows says nothing.
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

-- What one group of a recorder's batch adds. The order of the fields is that of `Count` in src/store/uploads/insert.rs.
CREATE TYPE usage_count AS (
    tenant_id uuid,
    hour timestamptz,
    kind text,
    ext text,
    caller_kind text,
    api_key_id uuid,
    uploads bigint,
    promised_bytes bigint
);

-- What the recorder counts: one row for a batch, with all its groups. With many tenants a batch has nearly as many groups as uploads, and a
-- row in `usage_deltas` for each would be the larger part of what Postgres keeps in memory. A job gathers them into `usage_deltas`.
CREATE TABLE usage_batches (counts usage_count[] NOT NULL)
-- A row lives for seconds. Do not move its array out of the page while it fits, and do not truncate the file: that would block writers.
WITH (toast_tuple_target = 8160, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, vacuum_truncate = false);
-- To compress the array would be work for nothing.
ALTER TABLE usage_batches ALTER COLUMN counts SET STORAGE EXTERNAL;

-- Everything that is not in `usage` yet, by group.
CREATE VIEW usage_unfolded AS
SELECT tenant_id, hour, kind, state, ext, caller_kind, api_key_id, uploads, promised_bytes, stored_bytes FROM usage_deltas
UNION ALL
SELECT tenant_id, hour, kind, 'issued', ext, caller_kind, api_key_id, uploads, promised_bytes, 0 FROM usage_batches CROSS JOIN UNNEST(counts);

CREATE FUNCTION stored_bytes(state text, size_bytes bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN state IN ('uploaded', 'mismatched') THEN coalesce(size_bytes, 0) ELSE 0 END;

CREATE FUNCTION count_inserted_uploads() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO usage_deltas
    SELECT tenant_id, date_bin('1 hour', issued_at, 'epoch'), kind, state, ext, caller_kind, CASE caller_kind WHEN 'api_key' THEN caller_id END,
           count(*), coalesce(sum(declared_size_bytes), 0), sum(stored_bytes(state, size_bytes))
    FROM inserted GROUP BY 1, 2, 3, 4, 5, 6, 7;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION count_inserted_uploads FROM PUBLIC;

CREATE FUNCTION count_updated_uploads() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
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
REVOKE ALL ON FUNCTION count_updated_uploads FROM PUBLIC;

CREATE FUNCTION count_deleted_uploads() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO usage_deltas
    SELECT tenant_id, date_bin('1 hour', issued_at, 'epoch'), kind, state, ext, caller_kind, CASE caller_kind WHEN 'api_key' THEN caller_id END,
           -count(*), -coalesce(sum(declared_size_bytes), 0), -sum(stored_bytes(state, size_bytes))
    FROM deleted GROUP BY 1, 2, 3, 4, 5, 6, 7;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION count_deleted_uploads FROM PUBLIC;

-- The gateway's own connections count in the INSERT itself, for half of what the trigger costs, and set `counts_itself` once for the session.
-- The trigger counts what anybody else inserts.
CREATE TRIGGER uploads_count_inserted AFTER INSERT ON uploads REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT WHEN (coalesce(current_setting('presign_gateway.counts_itself', true), '') <> 'yes')
    EXECUTE FUNCTION count_inserted_uploads();
CREATE TRIGGER uploads_count_updated AFTER UPDATE ON uploads REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION count_updated_uploads();
CREATE TRIGGER uploads_count_deleted AFTER DELETE ON uploads REFERENCING OLD TABLE AS deleted
    FOR EACH STATEMENT EXECUTE FUNCTION count_deleted_uploads();
