-- Issuers may publish their keys at a URL, name the claim that holds scopes, change their secret, and be archived, which
-- frees the pair of issuer and audience.
ALTER TABLE jwt_issuers
    DROP CONSTRAINT jwt_issuers_algorithm_check,
    ADD CONSTRAINT jwt_issuers_algorithm_check CHECK (algorithm IN ('HS256', 'RS256', 'PS256', 'ES256', 'EdDSA')),
    DROP CONSTRAINT jwt_issuers_check,
    ADD COLUMN jwks_url text CHECK (length(jwks_url) BETWEEN 1 AND 2000),
    ADD CONSTRAINT jwt_issuers_one_verification CHECK (num_nonnulls(sealed_hmac_secret, jwks, jwks_url, public_key_pem) = 1),
    -- Counts the secrets that this issuer has had; what is sealed is bound to it.
    ADD COLUMN hmac_secret_version integer NOT NULL DEFAULT 1 CHECK (hmac_secret_version > 0),
    ADD COLUMN scopes_claim text NOT NULL DEFAULT 'scope' CHECK (length(scopes_claim) BETWEEN 1 AND 100),
    ADD COLUMN archived_at timestamptz,
    ADD COLUMN revision integer NOT NULL DEFAULT 1 CHECK (revision > 0),
    ADD COLUMN updated_at timestamptz,
    DROP CONSTRAINT jwt_issuers_issuer_audience_key;
UPDATE jwt_issuers SET updated_at = created_at;
ALTER TABLE jwt_issuers ALTER COLUMN updated_at SET NOT NULL;

CREATE UNIQUE INDEX jwt_issuers_pair ON jwt_issuers (issuer, audience) WHERE archived_at IS NULL;
CREATE INDEX jwt_issuers_tenant ON jwt_issuers (tenant_id);
CREATE INDEX jwt_issuers_sealing_key ON jwt_issuers (sealing_key_id, id);
