-- A tenant is the unit of isolation: its limits, its policy and everything below it hang on this row.
CREATE TABLE tenants (
    id uuid PRIMARY KEY,
    slug text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9-]{2,63}$'),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
    rate_per_second integer NOT NULL CHECK (rate_per_second BETWEEN 1 AND 1000000),
    burst integer NOT NULL CHECK (burst BETWEEN 1 AND 1000000),
    allowed_extensions text[] NOT NULL CHECK (cardinality(allowed_extensions) > 0),
    max_size_bytes bigint CHECK (max_size_bytes > 0),
    default_expiry_seconds integer NOT NULL CHECK (default_expiry_seconds BETWEEN 1 AND longest_expiry_seconds),
    longest_expiry_seconds integer NOT NULL CHECK (longest_expiry_seconds BETWEEN 1 AND 604800),
    object_key_template text NOT NULL CHECK (object_key_template LIKE '%{uuid}%'),
    time_zone text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
