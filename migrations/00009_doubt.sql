-- Attempts of unknown fate whose flow is over: what may have been sent is paid for until Twilio's list tells.

-- +goose Up

ALTER TABLE send_attempts
    ADD look_at   timestamptz,                   -- when upkeep is to look for it next
    ADD looked_at timestamptz,                   -- when it did last
    ADD missing   boolean NOT NULL DEFAULT false; -- it looked twice, in vain: the attempt counts as not sent unless Twilio still tells of it
CREATE INDEX send_attempts_sought ON send_attempts (look_at) WHERE state = 'unknown' AND look_at IS NOT NULL;

UPDATE send_attempts a SET look_at = now() FROM messages m
WHERE a.message_id = m.message_id AND a.state = 'unknown' AND m.finished_at IS NOT NULL;

-- +goose Down

DROP INDEX send_attempts_sought;
ALTER TABLE send_attempts DROP missing, DROP looked_at, DROP look_at;
