-- A month has a place when a partition's range holds it, whatever that is called: none is made for a month of the partition that
-- is older than monthly ones, only to be rolled back, and a table that was detached keeps its name from no month.
CREATE OR REPLACE FUNCTION ensure_upload_partitions(first timestamptz, last timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    month timestamp := date_trunc('month', first AT TIME ZONE 'UTC');
    following timestamp;
    least_id uuid;
    behind_id uuid;
    partition text;
    others integer;
    made integer := 0;
BEGIN
    IF last - first > interval '20 years' THEN
        RAISE EXCEPTION 'at most 20 years of partitions at a time';
    END IF;
    -- One instance at a time.
    PERFORM pg_advisory_xact_lock(hashtextextended('presign_gateway.upload_partitions', 0));
    WHILE month <= last AT TIME ZONE 'UTC' LOOP
        following := month + interval '1 month';
        least_id := upload_id_at(month AT TIME ZONE 'UTC');
        behind_id := upload_id_at(following AT TIME ZONE 'UTC');
        IF NOT EXISTS (SELECT FROM upload_partitions() WHERE first_id < behind_id AND coalesce(end_id > least_id, true)) THEN
            partition := 'uploads_' || to_char(month, 'YYYY_MM');
            others := 1;
            WHILE to_regclass(partition) IS NOT NULL LOOP
                others := others + 1;
                partition := 'uploads_' || to_char(month, 'YYYY_MM') || '_' || others;
            END LOOP;
            EXECUTE format('CREATE TABLE %I (LIKE uploads INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', partition);
            EXECUTE format('ALTER TABLE uploads ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', partition, least_id, behind_id);
            made := made + 1;
        END IF;
        month := following;
    END LOOP;
    RETURN made;
END
$$;

DO $$
BEGIN
    -- To replace a function forgets this, though not who may call it.
    EXECUTE format('ALTER FUNCTION ensure_upload_partitions SET search_path = %I, pg_temp', current_schema());
END
$$;
