-- Several buckets a tenant; an archived one signs nothing, stays for the uploads that refer to it, and frees its alias.
ALTER TABLE buckets
    DROP CONSTRAINT buckets_tenant_id_alias_key,
    ADD COLUMN archived_at timestamptz CHECK (archived_at IS NULL OR NOT is_default),
    ADD COLUMN revision integer NOT NULL DEFAULT 1 CHECK (revision > 0);

CREATE UNIQUE INDEX buckets_alias ON buckets (tenant_id, alias) WHERE archived_at IS NULL;
-- For the keyring: which rows are sealed under which key.
CREATE INDEX buckets_sealing_key ON buckets (sealing_key_id, id);
