-- What upkeep looks for, at a cost that does not grow with the tables.

-- +goose Up

-- When the sweep last asked for the flow of a message that is not finished.
ALTER TABLE messages ADD swept_at timestamptz;
CREATE INDEX messages_unfinished ON messages (coalesce(swept_at, created_at)) WHERE finished_at IS NULL AND in_reply_to IS NULL;

-- +goose Down

DROP INDEX messages_unfinished;
ALTER TABLE messages DROP swept_at;
