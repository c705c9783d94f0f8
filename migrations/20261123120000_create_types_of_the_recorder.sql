-- What the recorder sends since it tells addresses as such, which are not read from text any more, and what it counts as one array in
-- place of eight: Postgres takes apart one array for less (docs/performance.md).
--
-- Never change them: an older version of the gateway goes on sending them while a newer one is rolled out. Make others.
CREATE TYPE upload_to_record AS (
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
CREATE TYPE usage_to_count AS (
    tenant_id uuid,
    hour timestamptz,
    kind text,
    ext text,
    caller_kind text,
    api_key_id uuid,
    uploads bigint,
    promised_bytes bigint
);
