-- The tables that operators change. `revision` counts the changes of a row, so that an update based on an older revision fails instead of
-- overwriting a newer one (`If-Match`). Tenants, buckets and issuers are archived and API keys are revoked; no row is ever deleted.

-- A tenant is the unit of isolation: rate limit, policy, buckets and callers belong to one tenant.
CREATE TABLE tenants (
    id uuid,
    slug text NOT NULL,
    name text NOT NULL,
    status text NOT NULL DEFAULT 'active',
    rate_per_second integer NOT NULL,
    burst integer NOT NULL,
    allowed_extensions text[] NOT NULL,
    max_size_bytes bigint,
    default_expiry_seconds integer NOT NULL,
    longest_expiry_seconds integer NOT NULL,
    object_key_template text NOT NULL,
    object_key_prefix text,
    time_zone text NOT NULL,
    -- What a URL must be bound to. If this is empty, a caller may also get a URL that is bound to nothing.
    required_bindings text[] NOT NULL DEFAULT '{}',
    -- Whether the sweeper checks that the files arrived.
    verify_arrival boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    revision integer NOT NULL DEFAULT 1,
    CONSTRAINT tenants_pkey PRIMARY KEY (id),
    CONSTRAINT tenants_slug_key UNIQUE (slug),
    CONSTRAINT tenants_slug_check CHECK (slug ~ '^[a-z0-9-]{2,63}$'),
    CONSTRAINT tenants_name_check CHECK (length(name) BETWEEN 1 AND 200),
    CONSTRAINT tenants_status_check CHECK (status IN ('active', 'suspended', 'archived')),
    CONSTRAINT tenants_rate_per_second_check CHECK (rate_per_second BETWEEN 1 AND 1000000),
    CONSTRAINT tenants_burst_check CHECK (burst BETWEEN 1 AND 1000000),
    CONSTRAINT tenants_allowed_extensions_check CHECK (cardinality(allowed_extensions) > 0),
    CONSTRAINT tenants_max_size_bytes_check CHECK (max_size_bytes BETWEEN 1 AND 5497558138880),
    CONSTRAINT tenants_default_expiry_seconds_check CHECK (default_expiry_seconds BETWEEN 1 AND longest_expiry_seconds),
    -- SigV4 presigned URLs are valid for seven days at most.
    CONSTRAINT tenants_longest_expiry_seconds_check CHECK (longest_expiry_seconds BETWEEN 1 AND 604800),
    CONSTRAINT tenants_object_key_template_check CHECK (object_key_template LIKE '%{uuid}%'),
    CONSTRAINT tenants_object_key_prefix_check CHECK (length(object_key_prefix) BETWEEN 1 AND 512),
    CONSTRAINT tenants_required_bindings_check CHECK (required_bindings <@ ARRAY['size', 'content_type', 'sha256', 'write_once']),
    CONSTRAINT tenants_revision_check CHECK (revision > 0)
);

-- Where a tenant's objects are stored. The secrets are sealed: without the keyring these rows give nobody access to a bucket.
CREATE TABLE buckets (
    id uuid,
    tenant_id uuid NOT NULL,
    alias text NOT NULL,
    is_default boolean NOT NULL,
    endpoint text NOT NULL,
    region text NOT NULL,
    bucket text NOT NULL,
    addressing text NOT NULL,
    provider text NOT NULL,
    -- The bindings that a generic store enforces, as its operator declares. For R2 and AWS the gateway knows them.
    enforced_bindings text[] NOT NULL DEFAULT '{}',
    access_key_id text NOT NULL,
    -- Both secrets are sealed under this key of the keyring, and bound to this row and version.
    sealing_key_id text NOT NULL,
    sealed_secret_access_key bytea NOT NULL,
    sealed_session_token bytea,
    credential_version integer NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    -- An archived bucket signs nothing. The row stays for the uploads that refer to it, and its alias can be used again.
    archived_at timestamptz,
    revision integer NOT NULL DEFAULT 1,
    CONSTRAINT buckets_pkey PRIMARY KEY (id),
    CONSTRAINT buckets_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id),
    CONSTRAINT buckets_alias_check CHECK (alias ~ '^[a-z0-9-]{1,63}$'),
    CONSTRAINT buckets_addressing_check CHECK (addressing IN ('path', 'virtual-hosted')),
    CONSTRAINT buckets_provider_check CHECK (provider IN ('r2', 'aws', 'generic')),
    CONSTRAINT buckets_enforced_bindings_check CHECK (enforced_bindings <@ ARRAY['sha256', 'write_once']),
    CONSTRAINT buckets_access_key_id_check CHECK (length(access_key_id) BETWEEN 1 AND 256),
    CONSTRAINT buckets_credential_version_check CHECK (credential_version > 0),
    CONSTRAINT buckets_archived_at_check CHECK (archived_at IS NULL OR NOT is_default),
    CONSTRAINT buckets_revision_check CHECK (revision > 0)
);

CREATE INDEX buckets_tenant ON buckets (tenant_id);
CREATE UNIQUE INDEX buckets_alias ON buckets (tenant_id, alias) WHERE archived_at IS NULL;
-- A tenant has at most one default bucket.
CREATE UNIQUE INDEX buckets_default ON buckets (tenant_id) WHERE is_default;
-- The keyring counts the rows of each sealing key, and re-seals them in this order.
CREATE INDEX buckets_sealing_key ON buckets (sealing_key_id, id);

-- An API key is found by its public id. Only a hash of the secret is stored. A key without a tenant belongs to an operator.
CREATE TABLE api_keys (
    id uuid,
    public_id text NOT NULL,
    secret_sha256 bytea NOT NULL,
    tenant_id uuid,
    label text NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    revision integer NOT NULL DEFAULT 1,
    CONSTRAINT api_keys_pkey PRIMARY KEY (id),
    CONSTRAINT api_keys_public_id_key UNIQUE (public_id),
    CONSTRAINT api_keys_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id),
    CONSTRAINT api_keys_secret_sha256_check CHECK (length(secret_sha256) = 32),
    CONSTRAINT api_keys_label_check CHECK (length(label) BETWEEN 1 AND 200),
    CONSTRAINT api_keys_revision_check CHECK (revision > 0)
);

CREATE INDEX api_keys_tenant ON api_keys (tenant_id);

-- The pair of issuer and audience names one tenant. Two tenants that trust the same identity provider differ in the audience.
CREATE TABLE jwt_issuers (
    id uuid,
    tenant_id uuid NOT NULL,
    issuer text NOT NULL,
    audience text NOT NULL,
    algorithm text NOT NULL,
    -- Exactly one of these four verifies signatures.
    sealed_hmac_secret bytea,
    jwks text,
    jwks_url text,
    public_key_pem text,
    -- The key of the keyring that sealed the HMAC secret, and how many secrets this issuer has had. The sealed secret is bound to both.
    sealing_key_id text,
    hmac_secret_version integer NOT NULL DEFAULT 1,
    leeway_seconds integer NOT NULL,
    -- The scopes of a token that has no scope claim, and the upper limit for a token that has one.
    scopes text[] NOT NULL,
    scopes_claim text NOT NULL DEFAULT 'scope',
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    -- The pair of an archived issuer can be used again.
    archived_at timestamptz,
    revision integer NOT NULL DEFAULT 1,
    CONSTRAINT jwt_issuers_pkey PRIMARY KEY (id),
    CONSTRAINT jwt_issuers_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id),
    CONSTRAINT jwt_issuers_issuer_check CHECK (length(issuer) BETWEEN 1 AND 500),
    CONSTRAINT jwt_issuers_audience_check CHECK (length(audience) BETWEEN 1 AND 500),
    CONSTRAINT jwt_issuers_algorithm_check CHECK (algorithm IN ('HS256', 'RS256', 'PS256', 'ES256', 'EdDSA')),
    CONSTRAINT jwt_issuers_one_verification CHECK (num_nonnulls(sealed_hmac_secret, jwks, jwks_url, public_key_pem) = 1),
    CONSTRAINT jwt_issuers_hmac_secret_check CHECK ((algorithm = 'HS256') = (sealed_hmac_secret IS NOT NULL)),
    CONSTRAINT jwt_issuers_sealing_key_id_check CHECK ((sealing_key_id IS NULL) = (sealed_hmac_secret IS NULL)),
    CONSTRAINT jwt_issuers_jwks_url_check CHECK (length(jwks_url) BETWEEN 1 AND 2000),
    CONSTRAINT jwt_issuers_hmac_secret_version_check CHECK (hmac_secret_version > 0),
    CONSTRAINT jwt_issuers_leeway_seconds_check CHECK (leeway_seconds BETWEEN 0 AND 300),
    CONSTRAINT jwt_issuers_scopes_claim_check CHECK (length(scopes_claim) BETWEEN 1 AND 100),
    CONSTRAINT jwt_issuers_revision_check CHECK (revision > 0)
);

CREATE INDEX jwt_issuers_tenant ON jwt_issuers (tenant_id);
CREATE UNIQUE INDEX jwt_issuers_pair ON jwt_issuers (issuer, audience) WHERE archived_at IS NULL;
CREATE INDEX jwt_issuers_sealing_key ON jwt_issuers (sealing_key_id, id);
