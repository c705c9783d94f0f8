-- A tenant's policy can demand that a URL is bound to what its caller promised, and have what was issued looked for.
ALTER TABLE tenants
    ADD COLUMN required_bindings text[] NOT NULL DEFAULT '{}'
        CHECK (required_bindings <@ ARRAY['size', 'content_type', 'sha256', 'write_once']),
    ADD COLUMN verify_arrival boolean NOT NULL DEFAULT false;

-- Of R2 and AWS it is known what they enforce; of another store its operator has to say.
ALTER TABLE buckets
    ADD COLUMN enforced_bindings text[] NOT NULL DEFAULT '{}' CHECK (enforced_bindings <@ ARRAY['sha256', 'write_once']);

CREATE OR REPLACE TRIGGER buckets_announce
    AFTER INSERT OR DELETE OR UPDATE OF tenant_id, alias, is_default, endpoint, region, bucket, addressing, provider, access_key_id,
        credential_version, archived_at, enforced_bindings ON buckets
    FOR EACH ROW EXECUTE FUNCTION announce_change('tenant_id');
