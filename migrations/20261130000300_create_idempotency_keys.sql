-- A request that is sent again gets its first response. The id is a digest of the caller, the operation and the client's Idempotency-Key.
-- The row is written in the transaction of the uploads, so of two equal requests at the same time one waits for the other.
CREATE TABLE idempotency_keys (
    id bytea,
    tenant_id uuid NOT NULL,
    request_sha256 bytea NOT NULL,
    -- One for each item of the request, in the same order. Null for an item that was rejected.
    upload_ids uuid[] NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (id),
    CONSTRAINT idempotency_keys_id_check CHECK (length(id) = 32),
    CONSTRAINT idempotency_keys_request_sha256_check CHECK (length(request_sha256) = 32)
);

-- A job deletes expired rows by this index.
CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_at);
