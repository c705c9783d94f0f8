-- Every instance keeps callers, tenants, limits and credentials in memory. A change announces itself, whoever makes it
-- (this program, or somebody at a prompt); Postgres delivers the announcement when the change's transaction commits, so
-- never before the change can be read. A trigger's arguments are the columns by which instances know the row.
CREATE FUNCTION announce_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed jsonb;
BEGIN
    -- Before and after: a row may have had other names.
    FOREACH changed IN ARRAY ARRAY[to_jsonb(OLD), to_jsonb(NEW)] LOOP
        IF changed IS NOT NULL THEN
            -- One that is sent twice in a transaction is delivered once.
            PERFORM pg_notify('presign_gateway_changes', (
                SELECT jsonb_object_agg(name, changed -> name) || jsonb_build_object('table', TG_TABLE_NAME)
                FROM unnest(TG_ARGV) AS name
            )::text);
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;

CREATE TRIGGER tenants_announce AFTER INSERT OR UPDATE OR DELETE ON tenants
    FOR EACH ROW EXECUTE FUNCTION announce_change('id', 'slug');

-- Not when a secret is sealed anew under another key: the secret is the same.
CREATE TRIGGER buckets_announce
    AFTER INSERT OR DELETE OR UPDATE OF tenant_id, alias, is_default, endpoint, region, bucket, addressing, provider, access_key_id,
        credential_version, archived_at ON buckets
    FOR EACH ROW EXECUTE FUNCTION announce_change('tenant_id');

-- Not when a key was merely used.
CREATE TRIGGER api_keys_announce
    AFTER INSERT OR DELETE OR UPDATE OF public_id, secret_sha256, tenant_id, label, scopes, expires_at, revoked_at ON api_keys
    FOR EACH ROW EXECUTE FUNCTION announce_change('public_id');

CREATE TRIGGER jwt_issuers_announce
    AFTER INSERT OR DELETE OR UPDATE OF tenant_id, issuer, audience, algorithm, jwks, jwks_url, public_key_pem, hmac_secret_version,
        leeway_seconds, scopes, scopes_claim, archived_at ON jwt_issuers
    FOR EACH ROW EXECUTE FUNCTION announce_change('issuer', 'audience');
