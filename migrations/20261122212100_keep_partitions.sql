-- For readiness, whether an upload of that moment has a place; and old partitions are dropped, for who wants no ledger for ever. What was
-- issued in them stays counted: to drop a table is no DELETE.
CREATE FUNCTION has_upload_partition(moment timestamptz) RETURNS boolean LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM upload_partitions() WHERE first_id <= upload_id_at(moment) AND end_id > upload_id_at(moment));
END;

-- Drops the oldest partition, if all in it is older than `before`, and says which; null where none is. One at a time, so that
-- writers wait no longer than one takes. Those who write wait while this one waits for those who read (a backup, for hours):
-- so not longer than they will not notice. Where the table cannot be had by then, that is an error, and for another time.
CREATE FUNCTION drop_upload_partition(before timestamptz) RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '5s' AS $$
DECLARE
    partition text;
BEGIN
    IF before > now() - interval '1 month' THEN
        RAISE EXCEPTION 'nothing younger than a month is dropped' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Not while others make some, or drop this one. Nobody else waits for that.
    PERFORM pg_advisory_xact_lock(hashtextextended('presign_gateway.upload_partitions', 0));
    SELECT name INTO partition FROM upload_partitions() WHERE end_id <= upload_id_at(before) ORDER BY end_id LIMIT 1;
    IF partition IS NOT NULL THEN
        -- Until the function ends.
        PERFORM set_config('lock_timeout', '20ms', true);
        EXECUTE format('DROP TABLE %I', partition);
    END IF;
    RETURN partition;
END
$$;

DO $$
BEGIN
    -- Functions with their owner's rights must not find other tables than these.
    EXECUTE format('ALTER FUNCTION drop_upload_partition SET search_path = %I, pg_temp', current_schema());
END
$$;
REVOKE ALL ON FUNCTION drop_upload_partition FROM PUBLIC;
