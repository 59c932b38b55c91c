-- +goose Up

-- Inbound messages that have no owner, and so no place among the messages. A row is gone once its message is stored there.
CREATE TABLE unrouted (
    account_sid text NOT NULL,
    message_sid text NOT NULL,
    received    bytea NOT NULL, -- the message, encrypted; associated data: table, account_sid, message_sid, column
    received_at timestamptz NOT NULL,
    reason      text NOT NULL,  -- why it has none
    kept_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_sid, message_sid)
);
CREATE INDEX unrouted_received ON unrouted (received_at);

ALTER TABLE unrouted ENABLE ROW LEVEL SECURITY;

-- +goose Down

DROP TABLE unrouted;
