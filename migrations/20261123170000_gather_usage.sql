-- What a batch of uploads adds to the usage, as one row of all its groups: with many tenants there are nearly as many groups as uploads,
-- and a row in `usage_deltas` for each, that soon is deleted again, made these the larger part of what Postgres keeps in memory. Gathered
-- for some seconds first they are a row for each tenant (docs/adr/0008-usage-rollups.md).
CREATE TABLE usage_batches (counts usage_to_count[] NOT NULL);
-- They are soon read, and gone: to compress them, or to cut them into pieces while they fit a page, is for nothing.
ALTER TABLE usage_batches ALTER COLUMN counts SET STORAGE EXTERNAL;
-- And to give back the room that they left would make those wait who write.
ALTER TABLE usage_batches SET (toast_tuple_target = 8160, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, vacuum_truncate = false);

-- Group by group, what is not in `usage` yet.
CREATE VIEW usage_unfolded AS
SELECT tenant_id, hour, kind, state, ext, caller_kind, api_key_id, uploads, promised_bytes, stored_bytes FROM usage_deltas
UNION ALL
SELECT tenant_id, hour, kind, 'issued', ext, caller_kind, api_key_id, uploads, promised_bytes, 0 FROM usage_batches CROSS JOIN UNNEST(counts);

-- As in 20261122215000: who could record uploads before must go on, and who could read usage reads all of it.
DO $$
DECLARE
    role text;
BEGIN
    FOR role IN
        SELECT DISTINCT grantee::regrole::text FROM pg_class, aclexplode(relacl)
        WHERE pg_class.oid = 'usage_deltas'::regclass AND privilege_type = 'INSERT' AND grantee NOT IN (relowner, 0)
    LOOP
        EXECUTE format('GRANT INSERT, DELETE ON usage_batches TO %s', role);
    END LOOP;
    FOR role IN
        SELECT DISTINCT grantee::regrole::text FROM pg_class, aclexplode(relacl)
        WHERE pg_class.oid = 'usage_deltas'::regclass AND privilege_type = 'SELECT' AND grantee NOT IN (relowner, 0)
    LOOP
        EXECUTE format('GRANT SELECT ON usage_batches, usage_unfolded TO %s', role);
    END LOOP;
END
$$;
