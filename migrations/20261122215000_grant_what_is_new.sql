-- Who could record uploads before is a gateway with rights of its own, and must go on after this: it gets what it needs of the
-- tables and functions that are new, as docs/operating.md has it. Who could only read gets to read usage.
DO $$
DECLARE
    role text;
BEGIN
    FOR role IN
        SELECT DISTINCT grantee::regrole::text FROM pg_class, aclexplode(relacl)
        WHERE pg_class.oid = 'uploads'::regclass AND privilege_type = 'INSERT' AND grantee NOT IN (relowner, 0)
    LOOP
        EXECUTE format('GRANT SELECT, UPDATE ON uploads TO %s', role);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_keys TO %s', role);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE ON usage TO %s', role);
        EXECUTE format('GRANT SELECT, INSERT, DELETE ON usage_deltas TO %s', role);
        EXECUTE format('GRANT EXECUTE ON FUNCTION ensure_upload_partitions, drop_upload_partition TO %s', role);
    END LOOP;
    FOR role IN
        SELECT DISTINCT grantee::regrole::text FROM pg_class, aclexplode(relacl)
        WHERE pg_class.oid = 'uploads'::regclass AND privilege_type = 'SELECT' AND grantee NOT IN (relowner, 0)
    LOOP
        EXECUTE format('GRANT SELECT ON usage, usage_deltas TO %s', role);
    END LOOP;
END
$$;
