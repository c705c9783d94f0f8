-- The pair (issuer, audience) names one tenant: two tenants that trust the same identity provider differ in audience.
CREATE TABLE jwt_issuers (
    id uuid PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES tenants (id),
    issuer text NOT NULL CHECK (length(issuer) BETWEEN 1 AND 500),
    audience text NOT NULL CHECK (length(audience) BETWEEN 1 AND 500),
    algorithm text NOT NULL CHECK (algorithm IN ('HS256', 'RS256', 'ES256', 'EdDSA')),
    -- Exactly one of the three says how signatures are checked.
    sealed_hmac_secret bytea,
    jwks text,
    public_key_pem text,
    sealing_key_id text,
    leeway_seconds integer NOT NULL CHECK (leeway_seconds BETWEEN 0 AND 300),
    -- What a token may do that has no scope claim of its own, and the most that one with the claim may.
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL,
    UNIQUE (issuer, audience),
    CHECK (num_nonnulls(sealed_hmac_secret, jwks, public_key_pem) = 1),
    CHECK ((algorithm = 'HS256') = (sealed_hmac_secret IS NOT NULL)),
    CHECK ((sealing_key_id IS NULL) = (sealed_hmac_secret IS NULL))
);
