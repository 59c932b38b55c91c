-- Who writes: through which messaging service, from which of their addresses, and whether the owner knows them.

-- +goose Up

ALTER TABLE messages ADD messaging_service_sid text;                    -- of theirs: what it came through, if anything
ALTER TABLE senders ADD messaging_service_sid text NOT NULL DEFAULT ''; -- what the latest message to it came through

-- A row is an address; a person may have several. The row that the others are merged into is the contact that everything names.
ALTER TABLE contacts
    ADD merged_into   text REFERENCES contacts,
    ADD person_id     text GENERATED ALWAYS AS (coalesce(merged_into, contact_id)) STORED,
    ADD name          text NOT NULL DEFAULT '', -- set by hand; profile_name is what the person calls themselves
    ADD registered_at timestamptz;              -- null: the owner does not know them
CREATE INDEX contacts_by_person ON contacts (person_id);
CREATE INDEX contacts_by_owner ON contacts (owner_id, contact_id);
CREATE INDEX pairs_by_person ON pairs (owner_id, channel, their_address);

-- +goose Down

DROP INDEX pairs_by_person;
DROP INDEX contacts_by_owner;
ALTER TABLE contacts DROP person_id, DROP merged_into, DROP name, DROP registered_at;
ALTER TABLE senders DROP messaging_service_sid;
ALTER TABLE messages DROP messaging_service_sid;
