-- Messages are filed under conversations, and loops are noticed. A message from before stays without a conversation: the next one of its pair
-- opens the first.

-- +goose Up

ALTER TABLE pairs ADD loops_since timestamptz; -- an operator lifted the loop guard then: what was before does not count

CREATE INDEX conversations_by_pair ON conversations (pair_id, opened_at);

-- What the loop guard counts: identical texts, and replies of the last minute.
CREATE INDEX messages_alike ON messages (pair_id, hashtextextended(body, 0), received_at) WHERE direction = 'inbound' AND body <> '';
CREATE INDEX send_attempts_recent ON send_attempts (pair_id, begun_at) WHERE part = 1;

-- +goose Down

DROP INDEX send_attempts_recent, messages_alike, conversations_by_pair;
ALTER TABLE pairs DROP loops_since;
