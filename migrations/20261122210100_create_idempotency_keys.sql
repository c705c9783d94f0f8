-- A request that is sent again gets what it got the first time. The id is a digest of who asks, what for, and the client's
-- Idempotency-Key; the row is written in the transaction of the uploads themselves, so that of two at once one waits.
CREATE TABLE idempotency_keys (
    id bytea PRIMARY KEY CHECK (length(id) = 32),
    tenant_id uuid NOT NULL,
    request_sha256 bytea NOT NULL CHECK (length(request_sha256) = 32),
    -- One for each item of the request, in its order; null for one that was refused.
    upload_ids uuid[] NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);

-- To remove what has expired.
CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_at);
