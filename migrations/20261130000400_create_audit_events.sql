-- Who changed what, and when. An event is written in the transaction of the change, is never changed itself, and never holds a secret.
CREATE TABLE audit_events (
    id uuid,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    tenant_id uuid,
    -- The changed row, and the name by which people know it.
    subject_id uuid NOT NULL,
    subject_name text,
    changed_fields text[] NOT NULL,
    -- Where the change was made: the address of the client, or the name of the machine on which the command ran.
    origin text,
    CONSTRAINT audit_events_pkey PRIMARY KEY (id)
);

CREATE INDEX audit_events_tenant ON audit_events (tenant_id, id DESC);
CREATE INDEX audit_events_actor ON audit_events (actor, id DESC);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END
$$;

CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
