-- The audit also tells the changed row's name, as people know it, and from where the change was made: a client's address,
-- or the name of the machine that the command ran on. Events of before have neither.
ALTER TABLE audit_events
    ADD COLUMN subject_name text,
    ADD COLUMN origin text;

CREATE INDEX audit_events_actor ON audit_events (actor, id DESC);
