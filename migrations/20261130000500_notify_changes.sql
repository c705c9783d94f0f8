-- Every instance caches callers, tenants, limits and credentials. These triggers notify all instances of a change, whoever makes it: the
-- gateway, the command line or a person in psql. Postgres delivers a notification when its transaction commits, so an instance that reads
-- again finds the new row (docs/adr/0004).
--
-- The arguments of a trigger are the columns by which instances know the row.
CREATE FUNCTION notify_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed jsonb;
BEGIN
    -- Both versions of the row: the old one may be cached under another name.
    FOREACH changed IN ARRAY ARRAY[to_jsonb(OLD), to_jsonb(NEW)] LOOP
        IF changed IS NOT NULL THEN
            -- Postgres delivers equal notifications of one transaction once.
            PERFORM pg_notify('presign_gateway_changes', (
                SELECT jsonb_object_agg(name, changed -> name) || jsonb_build_object('table', TG_TABLE_NAME)
                FROM unnest(TG_ARGV) AS name
            )::text);
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;

CREATE TRIGGER tenants_notify AFTER INSERT OR UPDATE OR DELETE ON tenants
    FOR EACH ROW EXECUTE FUNCTION notify_change('id', 'slug');

-- Not if a secret is re-sealed under another key: the secret is the same.
CREATE TRIGGER buckets_notify
    AFTER INSERT OR DELETE OR UPDATE OF tenant_id, alias, is_default, endpoint, region, bucket, addressing, provider, enforced_bindings,
        access_key_id, credential_version, archived_at ON buckets
    FOR EACH ROW EXECUTE FUNCTION notify_change('tenant_id');

-- Not if only the last use was written.
CREATE TRIGGER api_keys_notify
    AFTER INSERT OR DELETE OR UPDATE OF public_id, secret_sha256, tenant_id, label, scopes, expires_at, revoked_at ON api_keys
    FOR EACH ROW EXECUTE FUNCTION notify_change('public_id');

CREATE TRIGGER jwt_issuers_notify
    AFTER INSERT OR DELETE OR UPDATE OF tenant_id, issuer, audience, algorithm, jwks, jwks_url, public_key_pem, hmac_secret_version,
        leeway_seconds, scopes, scopes_claim, archived_at ON jwt_issuers
    FOR EACH ROW EXECUTE FUNCTION notify_change('issuer', 'audience');
