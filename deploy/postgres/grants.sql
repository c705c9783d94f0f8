-- What the gateway's role and the reader may do. The owner of the tables runs this after every `migrate`: with `presign-gateway database
-- grant`, or with psql. It may run again while the gateway serves. All of it takes effect at the COMMIT, and revokes any other right on tables.
BEGIN;
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM presign, presign_reader;

-- The gateway and the command line.
GRANT SELECT, INSERT ON tenants, buckets, api_keys, jwt_issuers, uploads, audit_events TO presign;
GRANT SELECT, INSERT, DELETE ON idempotency_keys, usage_batches, usage_deltas TO presign;
GRANT SELECT, INSERT ON usage TO presign;
GRANT SELECT ON usage_unfolded TO presign;
-- For readiness.
GRANT SELECT (version, success) ON _sqlx_migrations TO presign;
-- It updates only the columns that change.
GRANT UPDATE (name, status, rate_per_second, burst, allowed_extensions, max_size_bytes, default_expiry_seconds, longest_expiry_seconds,
    object_key_template, object_key_prefix, time_zone, required_bindings, verify_arrival, updated_at, revision) ON tenants TO presign;
GRANT UPDATE (alias, is_default, endpoint, region, bucket, addressing, provider, enforced_bindings, access_key_id, sealing_key_id,
    sealed_secret_access_key, sealed_session_token, credential_version, updated_at, archived_at, revision) ON buckets TO presign;
GRANT UPDATE (label, scopes, expires_at, revoked_at, last_used_at, revision) ON api_keys TO presign;
GRANT UPDATE (algorithm, sealed_hmac_secret, jwks, jwks_url, public_key_pem, sealing_key_id, hmac_secret_version, leeway_seconds,
    scopes, scopes_claim, updated_at, archived_at, revision) ON jwt_issuers TO presign;
GRANT UPDATE (state, url_expires_at, access_key_id, declared_etag, size_bytes, etag, content_type, sha256, seen_at, check_at)
    ON uploads TO presign;
GRANT UPDATE (request_sha256, upload_ids, created_at, expires_at) ON idempotency_keys TO presign;
GRANT UPDATE (uploads, promised_bytes, stored_bytes) ON usage TO presign;
GRANT EXECUTE ON FUNCTION ensure_upload_partitions TO presign;
-- Dropping old months needs a right of its own: allow_drops.sql.
REVOKE EXECUTE ON FUNCTION drop_upload_partition FROM presign;

-- The reader sees everything but sealed secrets and hashes.
GRANT SELECT ON tenants, uploads, audit_events, usage, usage_batches, usage_deltas, usage_unfolded TO presign_reader;
GRANT SELECT (id, tenant_id, alias, is_default, endpoint, region, bucket, addressing, provider, enforced_bindings, access_key_id,
    sealing_key_id, credential_version, created_at, updated_at, archived_at, revision) ON buckets TO presign_reader;
GRANT SELECT (id, public_id, tenant_id, label, scopes, created_at, expires_at, revoked_at, last_used_at, revision)
    ON api_keys TO presign_reader;
GRANT SELECT (id, tenant_id, issuer, audience, algorithm, jwks, jwks_url, public_key_pem, sealing_key_id, hmac_secret_version,
    leeway_seconds, scopes, scopes_claim, created_at, updated_at, archived_at, revision) ON jwt_issuers TO presign_reader;
COMMIT;
