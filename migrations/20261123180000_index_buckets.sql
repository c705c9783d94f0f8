-- A tenant's buckets are read with the archived ones among them, which no index had since aliases are unique among the others only: so
-- each tenant that came into memory had all buckets of all tenants looked through.
CREATE INDEX buckets_tenant ON buckets (tenant_id);
