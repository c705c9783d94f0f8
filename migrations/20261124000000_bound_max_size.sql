-- The gateway reads no policy that it would not write. No object is larger than 5 TiB, neither in S3 nor in R2.
ALTER TABLE tenants
    DROP CONSTRAINT tenants_max_size_bytes_check,
    ADD CONSTRAINT tenants_max_size_bytes_check CHECK (max_size_bytes BETWEEN 1 AND 5497558138880);
