-- What the recorder sends for each upload. Postgres takes one array of these apart for a fifth less than twenty-two arrays of one
-- column each, and each upload pays that (docs/performance.md).
--
-- Never change it: an older version of the gateway goes on sending it while a newer one is rolled out. Make another.
CREATE TYPE new_upload AS (
    id uuid,
    tenant_id uuid,
    bucket_id uuid,
    object_key text,
    ext text,
    kind text,
    width int,
    height int,
    duration_seconds float8,
    caller_kind text,
    caller_id uuid,
    caller_subject text,
    client_address text,
    access_key_id text,
    issued_at timestamptz,
    url_expires_at timestamptz,
    declared_size_bytes bigint,
    declared_content_type text,
    declared_sha256 bytea,
    write_once boolean,
    metadata jsonb,
    check_at timestamptz
);
