-- +goose Up

CREATE TABLE owners (
    owner_id   text PRIMARY KEY CHECK (owner_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    name       text NOT NULL CHECK (name <> ''),
    created_at timestamptz NOT NULL DEFAULT now()
);

-- What an owner set; what is not here has its default in the code (internal/domain/settings.go).
CREATE TABLE owner_settings (
    owner_id   text NOT NULL REFERENCES owners,
    name       text NOT NULL,
    value      text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (owner_id, name)
);

CREATE TABLE twilio_accounts (
    account_sid text PRIMARY KEY CHECK (account_sid ~ '^AC[0-9a-f]{32}$'),
    name        text NOT NULL DEFAULT '',
    auth_token  bytea NOT NULL, -- encrypted; associated data: table, account_sid, column
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
);

-- Our addresses: which owner a message to (account, channel, address) belongs to.
CREATE TABLE senders (
    account_sid text NOT NULL REFERENCES twilio_accounts,
    channel     text NOT NULL,
    address     text NOT NULL,
    owner_id    text NOT NULL REFERENCES owners,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_sid, channel, address)
);
CREATE INDEX senders_by_owner ON senders (owner_id, channel, address);

CREATE TABLE contacts (
    contact_id   text PRIMARY KEY,
    owner_id     text NOT NULL REFERENCES owners,
    channel      text NOT NULL,
    address      text NOT NULL,
    profile_name text NOT NULL DEFAULT '',
    created_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (owner_id, channel, address)
);

-- One row for (our address, their address). Every transaction about a message locks its pair's row first.
CREATE TABLE pairs (
    pair_id       text PRIMARY KEY,
    owner_id      text NOT NULL REFERENCES owners,
    channel       text NOT NULL,
    our_address   text NOT NULL,
    their_address text NOT NULL,
    next_seq      bigint NOT NULL DEFAULT 1,
    -- The lock: the attempt that has the pair, or had it last. One unresolved attempt a pair; between parts it stays with the reply.
    -- locked_until is infinity while it is held, and the end of what may still be under way where it was given up before.
    locked_until  timestamptz NOT NULL DEFAULT '-infinity',
    lock_message  text,
    lock_part     integer,
    lock_attempt  integer,
    created_at    timestamptz NOT NULL DEFAULT now(),
    UNIQUE (owner_id, channel, our_address, their_address)
);

-- Every message, theirs and ours. A reply of several parts is a row a part (in_reply_to, part); part 1 of a message of
-- ours that answers nothing is that message's own row, and its further parts name it in in_reply_to.
CREATE TABLE messages (
    message_id      text PRIMARY KEY,
    owner_id        text NOT NULL REFERENCES owners,
    pair_id         text NOT NULL REFERENCES pairs,
    contact_id      text NOT NULL REFERENCES contacts,
    workflow_id     text NOT NULL,
    direction       text NOT NULL CHECK (direction IN ('inbound', 'outbound')),
    account_sid     text NOT NULL,
    twilio_sid      text,
    from_address    text NOT NULL,
    to_address      text NOT NULL,
    body            text NOT NULL,
    media           jsonb NOT NULL DEFAULT '[]',
    parameters      jsonb NOT NULL DEFAULT '{}', -- what Twilio sent beside the named columns
    seq             bigint NOT NULL,
    in_reply_to     text REFERENCES messages,
    part            integer NOT NULL DEFAULT 1 CHECK (part >= 1),
    reply_state     text CHECK (reply_state IN ('pending', 'parked', 'answered', 'superseded', 'not_needed', 'failed')),
    status          text NOT NULL DEFAULT '',
    status_rank     integer NOT NULL DEFAULT -1,
    error_code      integer NOT NULL DEFAULT 0,
    segments        integer NOT NULL DEFAULT 0,
    idempotency_key text,
    deadline        timestamptz, -- of the claim of part 1; null for a part
    park            text,        -- the park that waits for a person, <run id>/<n>
    park_step       text,
    park_reason     text,
    outcome         text,        -- set by Finish
    outcome_reason  text,
    finished_at     timestamptz, -- set by Finish: no claim is granted after it
    received_at     timestamptz NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (twilio_sid, account_sid), -- in this order it also serves an operator who has only the sid
    UNIQUE (owner_id, idempotency_key),
    UNIQUE (in_reply_to, part)
);
CREATE INDEX messages_by_pair ON messages (pair_id, seq);
CREATE INDEX messages_by_workflow ON messages (workflow_id);

-- Replies that were composed. answers: the messages that the reply answers.
CREATE TABLE drafts (
    draft_id   text PRIMARY KEY,
    owner_id   text NOT NULL REFERENCES owners,
    message_id text NOT NULL REFERENCES messages,
    answers    text[] NOT NULL,
    body       text NOT NULL CHECK (body <> ''),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (message_id, answers)
);

-- One row an attempt to send one part: at most one POST. Committed before the POST.
CREATE TABLE send_attempts (
    message_id    text NOT NULL REFERENCES messages, -- whose flow sends
    part          integer NOT NULL CHECK (part >= 1),
    attempt       integer NOT NULL CHECK (attempt >= 1),
    owner_id      text NOT NULL REFERENCES owners,
    account_sid   text NOT NULL,
    state         text NOT NULL CHECK (state IN ('begun', 'accepted', 'refused', 'not_sent', 'unknown')),
    twilio_sid    text,
    status        text NOT NULL DEFAULT '',
    status_rank   integer NOT NULL DEFAULT -1,
    error_code    integer NOT NULL DEFAULT 0,
    error_rank    integer NOT NULL DEFAULT -1, -- rank of the event that the error code came with
    error_kind    text NOT NULL DEFAULT '',
    error_message text NOT NULL DEFAULT '',
    segments      integer NOT NULL DEFAULT 0,
    begun_at      timestamptz NOT NULL DEFAULT now(),
    post_before   timestamptz NOT NULL, -- nothing is posted later
    answer_before timestamptz NOT NULL, -- nothing of it can be under way later: post_before and the HTTP time-out
    last_part     boolean NOT NULL,     -- no part follows it
    resolved_at   timestamptz,          -- null while it is begun, and while one of unknown fate is still looked for
    PRIMARY KEY (message_id, part, attempt),
    UNIQUE (twilio_sid, account_sid)
);

-- All that Twilio said about messages of ours, as it came. Append only.
CREATE TABLE message_events (
    event_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner_id    text REFERENCES owners, -- null where no attempt of ours is known for it
    account_sid text NOT NULL,
    twilio_sid  text NOT NULL,
    message_id  text,
    part        integer,
    attempt     integer,
    source      text NOT NULL CHECK (source IN ('callback', 'fetch')),
    status      text NOT NULL,
    error_code  integer NOT NULL DEFAULT 0,
    received_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX message_events_by_message ON message_events (message_id, event_id);

-- Reserved, charged and handed back. Append only; every entry names its workflow.
CREATE TABLE ledger (
    entry_id    text PRIMARY KEY,
    owner_id    text NOT NULL REFERENCES owners,
    workflow_id text NOT NULL,
    message_id  text NOT NULL REFERENCES messages,
    kind        text NOT NULL CHECK (kind IN ('reserve', 'settle', 'release')),
    meter       text NOT NULL CHECK (meter IN ('ai_replies', 'message_segments')),
    quantity    bigint NOT NULL CHECK (quantity >= 0),
    created_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (workflow_id, meter, kind)
);

-- Every call of a model that gave an answer, used or not.
CREATE TABLE ai_runs (
    ai_run_id     text PRIMARY KEY,
    owner_id      text NOT NULL REFERENCES owners,
    message_id    text NOT NULL REFERENCES messages,
    provider      text NOT NULL,
    model         text NOT NULL,
    input_tokens  integer NOT NULL,
    output_tokens integer NOT NULL,
    answered      boolean NOT NULL, -- it gave a text
    latency_ms    integer NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ai_runs_by_message ON ai_runs (message_id);

-- Deny by default: only the role that owns the tables reads them, whatever else is given the database.
ALTER TABLE owners ENABLE ROW LEVEL SECURITY;
ALTER TABLE owner_settings ENABLE ROW LEVEL SECURITY;
ALTER TABLE twilio_accounts ENABLE ROW LEVEL SECURITY;
ALTER TABLE senders ENABLE ROW LEVEL SECURITY;
ALTER TABLE contacts ENABLE ROW LEVEL SECURITY;
ALTER TABLE pairs ENABLE ROW LEVEL SECURITY;
ALTER TABLE messages ENABLE ROW LEVEL SECURITY;
ALTER TABLE drafts ENABLE ROW LEVEL SECURITY;
ALTER TABLE send_attempts ENABLE ROW LEVEL SECURITY;
ALTER TABLE message_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger ENABLE ROW LEVEL SECURITY;
ALTER TABLE ai_runs ENABLE ROW LEVEL SECURITY;

-- +goose Down

DROP TABLE ai_runs;
DROP TABLE ledger;
DROP TABLE message_events;
DROP TABLE send_attempts;
DROP TABLE drafts;
DROP TABLE messages;
DROP TABLE pairs;
DROP TABLE contacts;
DROP TABLE senders;
DROP TABLE twilio_accounts;
DROP TABLE owner_settings;
DROP TABLE owners;
