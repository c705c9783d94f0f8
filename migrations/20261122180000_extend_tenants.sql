-- Tenants can be archived, have a prefix for their object keys, and count their changes, so that one who read an
-- older revision does not overwrite a newer one.
ALTER TABLE tenants
    DROP CONSTRAINT tenants_status_check,
    ADD CONSTRAINT tenants_status_check CHECK (status IN ('active', 'suspended', 'archived')),
    ADD COLUMN object_key_prefix text CHECK (length(object_key_prefix) BETWEEN 1 AND 512),
    ADD COLUMN revision integer NOT NULL DEFAULT 1 CHECK (revision > 0);
