-- API keys are looked up by their public id; of the secret only a hash is kept. No tenant means an operator's key.
CREATE TABLE api_keys (
    id uuid PRIMARY KEY,
    public_id text NOT NULL UNIQUE,
    secret_sha256 bytea NOT NULL CHECK (length(secret_sha256) = 32),
    tenant_id uuid REFERENCES tenants (id),
    label text NOT NULL CHECK (length(label) BETWEEN 1 AND 200),
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz
);

CREATE INDEX api_keys_tenant ON api_keys (tenant_id);
