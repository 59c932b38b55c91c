-- What a message costs us beside its units. Null means not known, which is not nothing.

-- +goose Up

ALTER TABLE ai_runs
    ADD cost_micros bigint,
    ADD currency    text,
    ADD CHECK ((cost_micros IS NULL) = (currency IS NULL));
CREATE INDEX ai_runs_by_owner ON ai_runs (owner_id, created_at);

ALTER TABLE send_attempts
    ADD price_micros bigint,      -- what Twilio takes for it: above zero is ours to pay
    ADD price_unit   text,
    ADD price_at     timestamptz, -- since when Twilio, who knows it hours later, has not been asked; null: it is known, or nobody asks any more
    ADD CHECK ((price_micros IS NULL) = (price_unit IS NULL));
CREATE INDEX send_attempts_by_owner ON send_attempts (owner_id, begun_at) WHERE state = 'accepted';
CREATE INDEX send_attempts_unpriced ON send_attempts (price_at) WHERE price_at IS NOT NULL;
UPDATE send_attempts SET price_at = now() WHERE state = 'accepted' AND begun_at > now() - interval '2 days';

-- +goose Down

DROP INDEX send_attempts_unpriced, send_attempts_by_owner;
ALTER TABLE send_attempts DROP price_at, DROP price_unit, DROP price_micros;
DROP INDEX ai_runs_by_owner;
ALTER TABLE ai_runs DROP currency, DROP cost_micros;
