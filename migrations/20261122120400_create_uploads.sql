-- The ledger: every object key that was ever issued. It grows for ever and every index is paid for on the hot path,
-- so there are two: by id (the same UUID stands in the object key), and by tenant in order of time (UUIDv7 ids sort by
-- time). No foreign keys: tenants and buckets are never deleted, and the check would lock a parent row on each insert.
-- The primary key is the id alone, so that the table can be partitioned by id range.
CREATE TABLE uploads (
    id uuid PRIMARY KEY,
    tenant_id uuid NOT NULL,
    bucket_id uuid NOT NULL,
    issued_at timestamptz NOT NULL,
    url_expires_at timestamptz NOT NULL CHECK (url_expires_at > issued_at),
    duration_seconds double precision CHECK (duration_seconds BETWEEN 0 AND 1e9),
    declared_size_bytes bigint CHECK (declared_size_bytes >= 0),
    width integer CHECK (width > 0),
    height integer CHECK (height > 0),
    object_key text NOT NULL CHECK (length(object_key) BETWEEN 1 AND 1024),
    ext text NOT NULL,
    kind text CHECK (kind IN ('thumb', 'origin', 'video')),
    state text NOT NULL DEFAULT 'issued' CHECK (state IN ('issued', 'uploaded', 'mismatched', 'expired', 'deleted')),
    declared_content_type text,
    declared_sha256 bytea CHECK (length(declared_sha256) = 32),
    caller_kind text NOT NULL CHECK (caller_kind IN ('api_key', 'jwt', 'anonymous')),
    caller_id uuid,
    caller_subject text,
    client_address inet NOT NULL,
    access_key_id text NOT NULL,
    trace_id text,
    -- What the bucket said.
    size_bytes bigint,
    etag text,
    content_type text,
    seen_at timestamptz
);

CREATE INDEX uploads_tenant_time ON uploads (tenant_id, id DESC);
