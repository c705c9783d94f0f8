-- API keys count their changes, so that one who read an older revision does not overwrite a newer one.
ALTER TABLE api_keys ADD COLUMN revision integer NOT NULL DEFAULT 1 CHECK (revision > 0);
