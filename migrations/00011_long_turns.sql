-- A reply to very many messages: their ids do not fit into an index, their hash does.

-- +goose Up

CREATE UNIQUE INDEX drafts_by_answers ON drafts (message_id, hash_array_extended(answers, 0));
ALTER TABLE drafts DROP CONSTRAINT drafts_message_id_answers_key;

-- +goose Down

ALTER TABLE drafts ADD UNIQUE (message_id, answers);
DROP INDEX drafts_by_answers;
