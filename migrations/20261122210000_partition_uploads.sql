-- The ledger is meant for a billion rows: monthly partitions by id (UUIDv7 ids sort by time), so that what is asked for by
-- time touches the months it needs, the indexes that are written to stay small, and old months can be dropped whole.
-- What an upload was bound to, what the bucket said of its digest, and when it is to be looked for, get their columns.
ALTER TABLE uploads RENAME TO uploads_first;
ALTER INDEX uploads_pkey RENAME TO uploads_first_pkey;
ALTER INDEX uploads_tenant_time RENAME TO uploads_first_tenant_time;
ALTER TABLE uploads_first
    ADD COLUMN write_once boolean NOT NULL DEFAULT false,
    ADD COLUMN metadata jsonb CHECK (jsonb_typeof(metadata) = 'object'),
    -- What the client's PUT was answered, as the client says.
    ADD COLUMN declared_etag text,
    ADD COLUMN sha256 bytea CHECK (length(sha256) = 32),
    -- When the sweeper looks for it next; null for what is settled or not swept.
    ADD COLUMN check_at timestamptz;

CREATE TABLE uploads (LIKE uploads_first INCLUDING DEFAULTS INCLUDING CONSTRAINTS) PARTITION BY RANGE (id);
ALTER TABLE uploads ADD PRIMARY KEY (id);
-- A tenant's uploads in order of time.
CREATE INDEX uploads_tenant_time ON uploads (tenant_id, id DESC);
-- The others hold few rows, or none: a row that is not in one costs it nothing.
CREATE INDEX uploads_subject ON uploads (tenant_id, caller_subject, id DESC) WHERE caller_subject IS NOT NULL;
CREATE INDEX uploads_rare_state ON uploads (tenant_id, state, id DESC) WHERE state IN ('mismatched', 'deleted');
CREATE INDEX uploads_to_check ON uploads (bucket_id, check_at) WHERE check_at IS NOT NULL;

-- The smallest UUIDv7 of a moment (RFC 9562, section 5.7: 48 bits of milliseconds come first).
CREATE FUNCTION upload_id_at(moment timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN rpad(lpad(to_hex(floor(extract(epoch FROM moment) * 1000)::bigint), 12, '0'), 32, '0')::uuid;

-- What partitions there are, whatever they are called.
CREATE FUNCTION upload_partitions() RETURNS TABLE (name text, first_id uuid, end_id uuid) LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT relname::text, coalesce(substring(bounds FROM 'FROM \(''([^'']+)''\)')::uuid, upload_id_at('epoch')), substring(bounds FROM 'TO \(''([^'']+)''\)')::uuid
    FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid CROSS JOIN pg_get_expr(relpartbound, inhrelid) AS bounds
    WHERE inhparent = 'uploads'::regclass AND bounds LIKE 'FOR VALUES%';
END;

-- Makes the months' partitions that are not there yet, and says how many. The server's role may call it without the right to
-- make tables. A table is made first and attached then: that neither waits for those who write, nor makes them wait.
CREATE FUNCTION ensure_upload_partitions(first timestamptz, last timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    month timestamp := date_trunc('month', first AT TIME ZONE 'UTC');
    following timestamp;
    least_id uuid;
    behind_id uuid;
    partition text;
    others integer;
    made integer := 0;
BEGIN
    IF last - first > interval '20 years' THEN
        RAISE EXCEPTION 'at most 20 years of partitions at a time';
    END IF;
    -- One instance at a time.
    PERFORM pg_advisory_xact_lock(hashtextextended('presign_gateway.upload_partitions', 0));
    WHILE month <= last AT TIME ZONE 'UTC' LOOP
        following := month + interval '1 month';
        least_id := upload_id_at(month AT TIME ZONE 'UTC');
        behind_id := upload_id_at(following AT TIME ZONE 'UTC');
        IF NOT EXISTS (SELECT FROM upload_partitions() WHERE first_id < behind_id AND coalesce(end_id > least_id, true)) THEN
            partition := 'uploads_' || to_char(month, 'YYYY_MM');
            others := 1;
            WHILE to_regclass(partition) IS NOT NULL LOOP
                others := others + 1;
                partition := 'uploads_' || to_char(month, 'YYYY_MM') || '_' || others;
            END LOOP;
            EXECUTE format('CREATE TABLE %I (LIKE uploads INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', partition);
            EXECUTE format('ALTER TABLE uploads ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', partition, least_id, behind_id);
            made := made + 1;
        END IF;
        month := following;
    END LOOP;
    RETURN made;
END
$$;

DO $$
DECLARE
    newest uuid := (SELECT id FROM uploads_first ORDER BY id DESC LIMIT 1);
    behind timestamptz;
    granted record;
BEGIN
    -- Who had rights on the table has them on what takes its place.
    FOR granted IN
        SELECT privilege_type, grantee::regrole::text AS role FROM pg_class, aclexplode(relacl)
        WHERE pg_class.oid = 'uploads_first'::regclass AND grantee NOT IN (relowner, 0)
    LOOP
        EXECUTE format('GRANT %s ON uploads TO %s', granted.privilege_type, granted.role);
    END LOOP;
    -- Functions with their owner's rights must not find other tables than these.
    EXECUTE format('ALTER FUNCTION ensure_upload_partitions SET search_path = %I, pg_temp', current_schema());
    IF newest IS NULL THEN
        DROP TABLE uploads_first;
    ELSE
        -- All that there is stays where it is, as one partition up to the end of its newest row's month, and of this one.
        behind := greatest(now(), to_timestamp(('x' || left(replace(newest::text, '-', ''), 12))::bit(48)::bigint / 1000.0));
        behind := (date_trunc('month', behind AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC';
        EXECUTE format('ALTER TABLE uploads ATTACH PARTITION uploads_first FOR VALUES FROM (MINVALUE) TO (%L)', upload_id_at(behind));
    END IF;
END
$$;

REVOKE ALL ON FUNCTION ensure_upload_partitions FROM PUBLIC;
SELECT ensure_upload_partitions(now(), now() + interval '3 months');
