-- +goose Up

-- Inbound messages whose flow could not be started when they came. A row is gone once its flow has been started.
CREATE TABLE webhook_spool (
    account_sid text NOT NULL,
    message_sid text NOT NULL,
    received    bytea NOT NULL, -- the message, encrypted; associated data: table, account_sid, message_sid, column
    received_at timestamptz NOT NULL,
    due_at      timestamptz NOT NULL DEFAULT now(), -- nobody takes it before: somebody has it, or it was refused a moment ago
    refusals    integer NOT NULL DEFAULT 0, -- how often it could not be started for a reason of its own
    refusal     text NOT NULL DEFAULT '',   -- the last of these reasons
    PRIMARY KEY (account_sid, message_sid)
);
CREATE INDEX webhook_spool_due ON webhook_spool (due_at);
CREATE INDEX webhook_spool_received ON webhook_spool (received_at);

ALTER TABLE webhook_spool ENABLE ROW LEVEL SECURITY;

-- +goose Down

DROP TABLE webhook_spool;
