-- The ledger: one row for every object key that was ever issued.

-- The functions below that run with their owner's rights must find these tables and no others (`SET search_path FROM CURRENT`).
-- The setting ends with this migration's transaction.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- The table is made for a billion rows. It has a partition for each month, by id, and UUIDv7 ids sort by time. So a search by time reads
-- only its months, the indexes that are written to stay small, and a month can be dropped as a whole.
-- There are no foreign keys: tenants and buckets are never deleted, and each insert would lock its parent rows (docs/adr/0002).
CREATE TABLE uploads (
    -- Columns of fixed width come first, so that they need no padding.
    id uuid,
    tenant_id uuid NOT NULL,
    bucket_id uuid NOT NULL,
    issued_at timestamptz NOT NULL,
    url_expires_at timestamptz NOT NULL,
    -- When the sweeper checks the row next. Null if the state is final or the tenant is not swept.
    check_at timestamptz,
    -- When the object was seen in the bucket, and its size there.
    seen_at timestamptz,
    size_bytes bigint,
    declared_size_bytes bigint,
    duration_seconds double precision,
    width integer,
    height integer,
    write_once boolean NOT NULL DEFAULT false,
    -- The id stands in the object key.
    object_key text NOT NULL,
    ext text NOT NULL,
    kind text,
    state text NOT NULL DEFAULT 'issued',
    -- Who issued it. `caller_id` is the row of the API key or of the JWT issuer, `caller_subject` the subject of the token.
    caller_kind text NOT NULL,
    caller_id uuid,
    caller_subject text,
    client_address inet NOT NULL,
    access_key_id text NOT NULL,
    trace_id text,
    -- What the caller declared. `declared_etag` is what the store answered to the client's PUT, as the client reports it.
    declared_content_type text,
    declared_sha256 bytea,
    declared_etag text,
    metadata jsonb,
    -- What the bucket reports.
    content_type text,
    etag text,
    sha256 bytea,
    CONSTRAINT uploads_pkey PRIMARY KEY (id),
    CONSTRAINT uploads_url_expires_at_check CHECK (url_expires_at > issued_at),
    CONSTRAINT uploads_duration_seconds_check CHECK (duration_seconds BETWEEN 0 AND 1e9),
    CONSTRAINT uploads_declared_size_bytes_check CHECK (declared_size_bytes >= 0),
    CONSTRAINT uploads_width_check CHECK (width > 0),
    CONSTRAINT uploads_height_check CHECK (height > 0),
    CONSTRAINT uploads_object_key_check CHECK (length(object_key) BETWEEN 1 AND 1024),
    CONSTRAINT uploads_kind_check CHECK (kind IN ('thumb', 'origin', 'video')),
    CONSTRAINT uploads_state_check CHECK (state IN ('issued', 'uploaded', 'mismatched', 'expired', 'deleted')),
    CONSTRAINT uploads_declared_sha256_check CHECK (length(declared_sha256) = 32),
    CONSTRAINT uploads_caller_kind_check CHECK (caller_kind IN ('api_key', 'jwt', 'anonymous')),
    CONSTRAINT uploads_metadata_check CHECK (jsonb_typeof(metadata) = 'object'),
    CONSTRAINT uploads_sha256_check CHECK (length(sha256) = 32)
) PARTITION BY RANGE (id);

-- Every presign pays for each index, so there are few. Ids ascend in all of them: new entries go to the right edge, where Postgres fills
-- its pages. A list with the newest first reads the index backward.
CREATE INDEX uploads_tenant_time ON uploads (tenant_id, id);
-- These are partial: a row that does not match costs nothing.
CREATE INDEX uploads_subject ON uploads (tenant_id, caller_subject, id) WHERE caller_subject IS NOT NULL;
CREATE INDEX uploads_rare_state ON uploads (tenant_id, state, id) WHERE state IN ('mismatched', 'deleted');
CREATE INDEX uploads_to_check ON uploads (bucket_id, check_at) WHERE check_at IS NOT NULL;

-- One upload as the recorder sends it. Postgres unpacks one array of this type for a fifth less than one array for each column
-- (docs/adr/0017). The order of the fields is that of `Row` in src/store/uploads/insert.rs.
--
-- A version that sends other fields needs another type: during an upgrade, old instances go on sending this one.
CREATE TYPE upload_record AS (
    id uuid,
    tenant_id uuid,
    bucket_id uuid,
    object_key text,
    ext text,
    kind text,
    width integer,
    height integer,
    duration_seconds double precision,
    caller_kind text,
    caller_id uuid,
    caller_subject text,
    client_address inet,
    access_key_id text,
    issued_at timestamptz,
    url_expires_at timestamptz,
    declared_size_bytes bigint,
    declared_content_type text,
    declared_sha256 bytea,
    write_once boolean,
    metadata jsonb,
    check_at timestamptz,
    trace_id text
);

-- The smallest UUIDv7 of a moment: the first 48 bits are milliseconds (RFC 9562, section 5.7).
CREATE FUNCTION upload_id_at(moment timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN rpad(lpad(to_hex(floor(extract(epoch FROM moment) * 1000)::bigint), 12, '0'), 32, '0')::uuid;

-- The partitions and their bounds, whatever their names are.
CREATE FUNCTION upload_partitions() RETURNS TABLE (name text, first_id uuid, end_id uuid) LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT relname::text, coalesce(substring(bounds FROM 'FROM \(''([^'']+)''\)')::uuid, upload_id_at('epoch')), substring(bounds FROM 'TO \(''([^'']+)''\)')::uuid
    FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid CROSS JOIN pg_get_expr(relpartbound, inhrelid) AS bounds
    WHERE inhparent = 'uploads'::regclass AND bounds LIKE 'FOR VALUES%';
END;

-- Whether an upload that is issued at this moment has a partition. Readiness asks this.
CREATE FUNCTION has_upload_partition(moment timestamptz) RETURNS boolean LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM upload_partitions() WHERE first_id <= upload_id_at(moment) AND end_id > upload_id_at(moment));
END;

-- Creates the missing partitions of these months and returns how many it created. It runs with its owner's rights, so the gateway's role
-- needs no right to create tables.
CREATE FUNCTION ensure_upload_partitions(first timestamptz, last timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
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
            -- A detached partition keeps its name: use the next free one.
            partition := 'uploads_' || to_char(month, 'YYYY_MM');
            others := 1;
            WHILE to_regclass(partition) IS NOT NULL LOOP
                others := others + 1;
                partition := 'uploads_' || to_char(month, 'YYYY_MM') || '_' || others;
            END LOOP;
            -- Create, then attach: this neither waits for writers nor blocks them.
            EXECUTE format('CREATE TABLE %I (LIKE uploads INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', partition);
            EXECUTE format('ALTER TABLE uploads ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', partition, least_id, behind_id);
            made := made + 1;
        END IF;
        month := following;
    END LOOP;
    RETURN made;
END
$$;
REVOKE ALL ON FUNCTION ensure_upload_partitions FROM PUBLIC;

-- Drops the oldest partition if all its rows are older than `before`, and returns its name, or null if there is none. It drops one at a
-- time, so that writers wait only for one. While this function waits for readers (a backup reads for hours), writers wait behind it:
-- so it gives up after 20 ms with an error, and the caller tries again later. Usage still counts what was issued: DROP TABLE fires no trigger.
CREATE FUNCTION drop_upload_partition(before timestamptz) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '5s' SET search_path FROM CURRENT AS $$
DECLARE
    partition text;
BEGIN
    IF before > now() - interval '1 month' THEN
        RAISE EXCEPTION 'nothing younger than a month is dropped' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Not while another instance creates partitions or drops this one. No writer waits for this lock.
    PERFORM pg_advisory_xact_lock(hashtextextended('presign_gateway.upload_partitions', 0));
    SELECT name INTO partition FROM upload_partitions() WHERE end_id <= upload_id_at(before) ORDER BY end_id LIMIT 1;
    IF partition IS NOT NULL THEN
        -- Until the function ends.
        PERFORM set_config('lock_timeout', '20ms', true);
        EXECUTE format('DROP TABLE %I', partition);
    END IF;
    RETURN partition;
END
$$;
REVOKE ALL ON FUNCTION drop_upload_partition FROM PUBLIC;

-- The gateway creates the months to come at its start and every hour.
SELECT ensure_upload_partitions(now(), now() + interval '3 months');
