-- Several tokens an account, so that one can take the place of another under way. Parley is not released yet: the tokens of before cannot be
-- moved by SQL, since each is bound to the place it is encrypted for. An account of before is to be added again, as `make run` does.

-- +goose Up

CREATE TABLE account_tokens (
    token_id    text PRIMARY KEY,
    account_sid text NOT NULL REFERENCES twilio_accounts ON DELETE CASCADE,
    api_key     text NOT NULL DEFAULT '' CHECK (api_key = '' OR api_key ~ '^SK[0-9a-f]{32}$'), -- whose secret it is; empty: an auth token
    secret      bytea NOT NULL, -- encrypted; associated data: table, account_sid, token_id, column
    added_by    text NOT NULL,
    valid_from  timestamptz NOT NULL DEFAULT clock_timestamp(),
    valid_until timestamptz -- null: until another one takes its place
);
CREATE INDEX account_tokens_by_account ON account_tokens (account_sid);
ALTER TABLE account_tokens ENABLE ROW LEVEL SECURITY;

ALTER TABLE twilio_accounts DROP auth_token;

-- Tokens that Twilio did not accept for the attempt, by id.
ALTER TABLE send_attempts ADD refused_tokens text[] NOT NULL DEFAULT '{}';

-- +goose Down

ALTER TABLE send_attempts DROP refused_tokens;
ALTER TABLE twilio_accounts ADD auth_token bytea NOT NULL DEFAULT ''; -- decrypts to nothing: the account is to be added again
ALTER TABLE twilio_accounts ALTER auth_token DROP DEFAULT;
DROP TABLE account_tokens;
