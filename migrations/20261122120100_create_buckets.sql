-- Where a tenant's objects live. The secrets are sealed: without the keyring these rows give nobody access to a bucket.
CREATE TABLE buckets (
    id uuid PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES tenants (id),
    alias text NOT NULL CHECK (alias ~ '^[a-z0-9-]{1,63}$'),
    is_default boolean NOT NULL,
    endpoint text NOT NULL,
    region text NOT NULL,
    bucket text NOT NULL,
    addressing text NOT NULL CHECK (addressing IN ('path', 'virtual-hosted')),
    provider text NOT NULL CHECK (provider IN ('r2', 'aws', 'generic')),
    access_key_id text NOT NULL CHECK (length(access_key_id) BETWEEN 1 AND 256),
    -- Both are sealed under the keyring's key of this id, bound to this row and version.
    sealing_key_id text NOT NULL,
    sealed_secret_access_key bytea NOT NULL,
    sealed_session_token bytea,
    credential_version integer NOT NULL CHECK (credential_version > 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    UNIQUE (tenant_id, alias)
);

-- One default bucket a tenant.
CREATE UNIQUE INDEX buckets_default ON buckets (tenant_id) WHERE is_default;
