-- Who is answered, whether they may be, and what it costs. Parley is not released yet: a worker of the version before finds
-- billing.Reserve, persistence.Finish and billing.Settle failing here until it is replaced.

-- +goose Up

CREATE TABLE plans (
    plan_id    text PRIMARY KEY CHECK (plan_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    name       text NOT NULL CHECK (name <> ''),
    created_at timestamptz NOT NULL DEFAULT now()
);

-- What a plan allows in a calendar month, UTC. A meter without a row has no limit.
CREATE TABLE plan_quotas (
    plan_id text NOT NULL REFERENCES plans,
    meter   text NOT NULL CHECK (meter IN ('ai_replies', 'message_segments')),
    quota   bigint NOT NULL CHECK (quota >= 0),
    PRIMARY KEY (plan_id, meter)
);

CREATE TABLE subscriptions (
    owner_id   text PRIMARY KEY REFERENCES owners,
    plan_id    text NOT NULL REFERENCES plans,
    state      text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'past_due', 'canceled')),
    updated_at timestamptz NOT NULL DEFAULT now()
);

INSERT INTO plans (plan_id, name) VALUES ('unlimited', 'Unlimited');
INSERT INTO subscriptions (owner_id, plan_id) SELECT owner_id, 'unlimited' FROM owners;

-- The sums of the ledger: used = settle - credit, reserved = reserve - settle - release. A quota holds for both together.
CREATE TABLE usage (
    owner_id text NOT NULL REFERENCES owners,
    meter    text NOT NULL,
    period   date NOT NULL, -- the first day of the month
    used     bigint NOT NULL DEFAULT 0,
    reserved bigint NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    PRIMARY KEY (owner_id, meter, period)
);

ALTER TABLE ledger
    DROP CONSTRAINT IF EXISTS ledger_workflow_id_meter_kind_key,
    DROP CONSTRAINT ledger_kind_check,
    ADD CHECK (kind IN ('reserve', 'settle', 'release', 'credit')),
    ADD period date NOT NULL DEFAULT date_trunc('month', now() AT TIME ZONE 'UTC');
CREATE INDEX ledger_by_workflow ON ledger (workflow_id);
CREATE INDEX ledger_by_owner ON ledger (owner_id, period, entry_id);

-- Segments were charged without having been reserved.
INSERT INTO ledger (entry_id, owner_id, workflow_id, message_id, kind, meter, quantity, period, created_at)
SELECT entry_id || '-reserve', owner_id, workflow_id, message_id, 'reserve', meter, quantity, period, created_at
FROM ledger WHERE kind = 'settle' AND meter = 'message_segments';

INSERT INTO usage (owner_id, meter, period, used, reserved)
SELECT owner_id, meter, period, coalesce(sum(quantity) FILTER (WHERE kind = 'settle'), 0),
    coalesce(sum(CASE kind WHEN 'reserve' THEN quantity ELSE -quantity END), 0)
FROM ledger GROUP BY owner_id, meter, period;

ALTER TABLE senders ADD opt_out_replies text NOT NULL DEFAULT '' CHECK (opt_out_replies IN ('', 'twilio', 'ours')); -- empty: as usual for its kind

-- Whether a person may be written to: by a sender of ours, or a messaging service. No row: nobody has said anything.
CREATE TABLE consents (
    owner_id   text NOT NULL REFERENCES owners,
    channel    text NOT NULL,
    sender     text NOT NULL, -- our address, or the sid of a messaging service
    address    text NOT NULL,
    state      text NOT NULL CHECK (state IN ('given', 'withdrawn')),
    source     text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (owner_id, channel, sender, address)
);

-- Every change of a consent. Append only.
CREATE TABLE consent_events (
    event_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner_id   text NOT NULL REFERENCES owners,
    channel    text NOT NULL,
    sender     text NOT NULL,
    address    text NOT NULL,
    state      text NOT NULL,
    source     text NOT NULL,
    reason     text NOT NULL DEFAULT '',
    message_id text REFERENCES messages,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX consent_events_by_address ON consent_events (owner_id, channel, address, event_id);

-- What was said between two addresses, until it was quiet for a while. One live at a time.
CREATE TABLE conversations (
    conversation_id text PRIMARY KEY,
    owner_id        text NOT NULL REFERENCES owners,
    pair_id         text NOT NULL REFERENCES pairs,
    contact_id      text NOT NULL REFERENCES contacts,
    previous_id     text REFERENCES conversations, -- of the same pair
    state           text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'looping', 'closed')),
    opened_at       timestamptz NOT NULL DEFAULT now(),
    last_message_at timestamptz NOT NULL DEFAULT now(),
    closed_at       timestamptz
);
CREATE UNIQUE INDEX conversations_live ON conversations (pair_id) WHERE state <> 'closed';
CREATE INDEX conversations_idle ON conversations (owner_id, last_message_at) WHERE state <> 'closed';
CREATE INDEX conversations_by_owner ON conversations (owner_id, conversation_id);

-- Every change of a conversation: who, and why. Append only.
CREATE TABLE conversation_events (
    event_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    conversation_id text NOT NULL REFERENCES conversations,
    owner_id        text NOT NULL REFERENCES owners,
    event           text NOT NULL,
    actor           text NOT NULL,
    reason          text NOT NULL DEFAULT '',
    created_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX conversation_events_by_conversation ON conversation_events (conversation_id, event_id);

ALTER TABLE pairs
    ADD unit        boolean NOT NULL DEFAULT false, -- a unit of ai_replies that is reserved for the turn and that no flow has taken yet
    ADD unit_period date;

ALTER TABLE messages
    ADD conversation_id   text REFERENCES conversations,
    ADD kind              text NOT NULL DEFAULT 'message', -- of ours: message, or the system text that it is
    ADD consent_word      text,                            -- of theirs: stop, start, help
    ADD answered_by       text,                            -- of theirs: the message whose accepted reply answers it
    ADD turn              text NOT NULL DEFAULT '' CHECK (turn IN ('', 'joined', 'left')), -- whether its flow counts on the pair's unit
    ADD replies_reserved  integer NOT NULL DEFAULT 0 CHECK (replies_reserved >= 0),
    ADD replies_charged   integer NOT NULL DEFAULT 0 CHECK (replies_charged >= 0),
    ADD replies_period    date,
    ADD segments_reserved integer NOT NULL DEFAULT 0 CHECK (segments_reserved >= 0),
    ADD segments_charged  integer NOT NULL DEFAULT 0 CHECK (segments_charged >= 0),
    ADD segments_period   date;
CREATE INDEX messages_unanswered ON messages (pair_id, seq)
    WHERE direction = 'inbound' AND answered_by IS NULL AND reply_state IN ('pending', 'parked', 'superseded');
CREATE INDEX messages_in_turn ON messages (pair_id) WHERE direction = 'inbound' AND (turn = 'joined' OR reply_state = 'pending');
CREATE INDEX messages_by_conversation ON messages (conversation_id, seq);
UPDATE messages SET answered_by = message_id WHERE direction = 'inbound' AND reply_state = 'answered';
UPDATE messages SET replies_charged = was.charged, replies_reserved = was.reserved, replies_period = was.period FROM (
    SELECT message_id, period, coalesce(sum(quantity) FILTER (WHERE kind = 'settle'), 0) AS charged,
        sum(CASE kind WHEN 'reserve' THEN quantity ELSE -quantity END) AS reserved
    FROM ledger WHERE meter = 'ai_replies' GROUP BY message_id, period
) was WHERE was.message_id = messages.message_id;
UPDATE messages SET segments_charged = was.charged, segments_period = was.period FROM (
    SELECT message_id, period, sum(quantity) AS charged FROM ledger WHERE kind = 'settle' AND meter = 'message_segments' GROUP BY message_id, period
) was WHERE was.message_id = messages.message_id;

ALTER TABLE send_attempts
    ADD pair_id  text REFERENCES pairs,
    ADD draft_id text REFERENCES drafts; -- null: the message's own body
UPDATE send_attempts SET pair_id = messages.pair_id FROM messages WHERE messages.message_id = send_attempts.message_id;
UPDATE send_attempts SET draft_id = drafts.draft_id FROM drafts WHERE drafts.message_id = send_attempts.message_id;
CREATE INDEX send_attempts_doubtful ON send_attempts (pair_id) WHERE state IN ('begun', 'unknown');

ALTER TABLE drafts ADD fixed boolean NOT NULL DEFAULT false; -- the owner's words: no model wrote it, no unit pays for it
UPDATE drafts SET fixed = true WHERE NOT EXISTS (SELECT FROM ai_runs WHERE ai_runs.message_id = drafts.message_id AND answered);

ALTER TABLE plans ENABLE ROW LEVEL SECURITY;
ALTER TABLE plan_quotas ENABLE ROW LEVEL SECURITY;
ALTER TABLE subscriptions ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage ENABLE ROW LEVEL SECURITY;
ALTER TABLE consents ENABLE ROW LEVEL SECURITY;
ALTER TABLE consent_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE conversations ENABLE ROW LEVEL SECURITY;
ALTER TABLE conversation_events ENABLE ROW LEVEL SECURITY;

-- +goose Down

ALTER TABLE drafts DROP fixed;
DROP INDEX send_attempts_doubtful;
ALTER TABLE send_attempts DROP pair_id, DROP draft_id;
DROP INDEX messages_unanswered, messages_in_turn, messages_by_conversation;
ALTER TABLE messages DROP conversation_id, DROP kind, DROP consent_word, DROP answered_by, DROP turn, DROP replies_reserved, DROP replies_charged,
    DROP replies_period, DROP segments_reserved, DROP segments_charged, DROP segments_period;
ALTER TABLE pairs DROP unit, DROP unit_period;
DROP TABLE conversation_events;
DROP TABLE conversations;
DROP TABLE consent_events;
DROP TABLE consents;
ALTER TABLE senders DROP opt_out_replies;
DROP TABLE usage;
DROP INDEX ledger_by_owner, ledger_by_workflow;
DELETE FROM ledger WHERE kind = 'credit' OR (kind = 'reserve' AND meter = 'message_segments');
ALTER TABLE ledger
    DROP period,
    DROP CONSTRAINT ledger_kind_check,
    ADD CHECK (kind IN ('reserve', 'settle', 'release'));
DROP TABLE subscriptions;
DROP TABLE plan_quotas;
DROP TABLE plans;
