package postgres_test

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"parley/internal/domain"
	"parley/internal/postgres"
)

// grown are the tables that grow with every message: no statement of a flow or of the edge may read one of them as a whole.
func grown() []string {
	return []string{"messages", "send_attempts", "message_events", "ledger", "drafts", "ai_runs", "pairs", "contacts"}
}

// generated fills a database with messages of many people, half of them answered.
const generated = `
	INSERT INTO contacts (contact_id, owner_id, channel, address)
		SELECT 'c' || i, 'acme', 'sms', '+1555' || (1000000 + i) FROM generate_series(0, 4999) i;
	INSERT INTO pairs (pair_id, owner_id, channel, our_address, their_address, next_seq)
		SELECT 'p' || i, 'acme', 'sms', '+15550001111', '+1555' || (1000000 + i), 100 FROM generate_series(0, 4999) i;
	INSERT INTO messages (message_id, owner_id, pair_id, contact_id, workflow_id, direction, account_sid, twilio_sid, from_address, to_address, body, seq,
			in_reply_to, reply_state, idempotency_key, deadline, received_at, replies_charged, replies_period)
		SELECT 'm' || i, 'acme', 'p' || i / 2 % 5000, 'c' || i / 2 % 5000, 'w' || i / 2, CASE i % 2 WHEN 0 THEN 'inbound' ELSE 'outbound' END,
			'AC00000000000000000000000000000001', CASE i % 2 WHEN 0 THEN 'SMx' || i END, 'a', 'b', 'Hello', i / 5000 + 1,
			CASE i % 2 WHEN 1 THEN 'm' || i - 1 END, CASE i % 2 WHEN 0 THEN 'pending' END, NULL, now() + interval '1 hour', now(),
			1 - i % 2, date_trunc('month', now())
		FROM generate_series(0, 49999) i;
	INSERT INTO drafts (draft_id, owner_id, message_id, answers, body)
		SELECT 'd' || i, 'acme', 'm' || i * 2, ARRAY['m' || i * 2], 'Hello' FROM generate_series(0, 24999) i;
	INSERT INTO ai_runs (ai_run_id, owner_id, message_id, provider, model, input_tokens, output_tokens, latency_ms, answered)
		SELECT 'r' || i, 'acme', 'm' || i * 2, 'scripted', 'echo', 1, 1, 1, true FROM generate_series(0, 24999) i;
	INSERT INTO send_attempts (message_id, part, attempt, owner_id, account_sid, state, twilio_sid, post_before, answer_before, last_part, segments)
		SELECT 'm' || i * 2, 1, 1, 'acme', 'AC00000000000000000000000000000001', 'accepted', 'SMy' || i, now(), now(), true, 1 FROM generate_series(0, 24999) i;
	INSERT INTO message_events (owner_id, account_sid, twilio_sid, message_id, part, attempt, source, status)
		SELECT 'acme', 'AC00000000000000000000000000000001', 'SMy' || i / 2, 'm' || i / 2 * 2, 1, 1, 'callback', 'sent' FROM generate_series(0, 49999) i;
	INSERT INTO ledger (entry_id, owner_id, workflow_id, message_id, kind, meter, quantity)
		SELECT 'l' || i, 'acme', 'w' || i / 2, 'm' || i / 2 * 2, CASE i % 2 WHEN 0 THEN 'reserve' ELSE 'settle' END, 'ai_replies', 1
		FROM generate_series(0, 49999) i;
	INSERT INTO usage (owner_id, meter, period, used) VALUES ('acme', 'ai_replies', date_trunc('month', now()), 25000);`

// TestNoStatementReadsAWholeTable runs every method and then asks Postgres for the plan of each statement that it sent.
func TestNoStatementReadsAWholeTable(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	_, err := s.pool.Exec(t.Context(), generated, pgx.QueryExecModeSimpleProtocol)
	must(t, err)
	_, err = s.pool.Exec(t.Context(), `ANALYZE`)
	must(t, err)

	config, seen := s.pool.Config(), &statements{}
	config.ConnConfig.Tracer = seen
	traced, err := pgxpool.NewWithConfig(t.Context(), config)
	must(t, err)
	t.Cleanup(traced.Close)
	everyMethod(t, &store{s.url, traced, postgres.NewMessages(traced), postgres.NewDirectory(traced, newCipher(t)), person, s.people})

	if len(seen.list) < 25 {
		t.Fatalf("only %d statements seen: the tracer misses them", len(seen.list))
	}
	conn, err := s.pool.Acquire(t.Context())
	must(t, err)
	defer conn.Release()
	for _, statement := range seen.list {
		var plan []byte
		if err := conn.QueryRow(t.Context(), "EXPLAIN (FORMAT JSON) "+statement.SQL, statement.Args...).Scan(&plan); err != nil {
			t.Errorf("EXPLAIN %s: %v", statement.SQL, err)
			continue
		}
		var nodes any
		must(t, json.Unmarshal(plan, &nodes))
		for _, table := range readWhole(nodes) {
			t.Errorf("all of %s is read by %s\n%s", table, statement.SQL, plan)
		}
	}
	t.Logf("%d statements", len(seen.list))
}

// everyMethod calls all that a flow, the edge or an operator asks about one message.
func everyMethod(t *testing.T, s *store) {
	t.Helper()
	ctx := t.Context()
	f := s.inbound(t, "Hello", twoParts())
	_, err := s.messages.RecordInbound(ctx, received("")) // draws its draft from the settings
	must(t, err)
	_, _, err = s.messages.ResolveContact(ctx, acme, domain.Person{Address: domain.Address{Channel: domain.ChannelSMS, Value: person}, ProfileName: "Ana"})
	must(t, err)
	_, _, err = s.messages.ResolveContact(ctx, acme, whatsapp(t, "whatsapp:+15550002222", "whatsapp:US.1234")) // which makes one of two
	must(t, err)
	_, err = s.messages.Contact(ctx, acme, domain.Address{Channel: domain.ChannelSMS, Value: person})
	must(t, err)
	_, err = s.messages.Consents(ctx, acme, domain.Address{Channel: domain.ChannelSMS, Value: person})
	must(t, err)
	f.reserve(t)
	_, err = s.messages.Draft(ctx, acme, f.messageID)
	must(t, err)
	_, err = s.messages.Prompt(ctx, acme, f.messageID)
	must(t, err)
	f.park(t)
	f.begin(t, 1, 1)
	f.resolve(t, 1, 1, domain.Resolution{State: domain.AttemptRefused, ErrorCode: 21211})
	sid := f.send(t, 1, 2)
	f.lose(t, 2, 1)
	_, err = s.messages.Sought(ctx, acme, f.key(2, 1), false)
	must(t, err)
	_, err = s.messages.Unbound(ctx, account, []string{sid, newSid()})
	must(t, err)
	f.send(t, 2, 2)
	for _, event := range []domain.StatusEvent{
		callback(f.key(1, 2), sid, domain.StatusSent, 0), callback(domain.AttemptKey{}, sid, domain.StatusDelivered, 0),
		callback(domain.AttemptKey{}, newSid(), domain.StatusDelivered, 0),
	} {
		_, err = s.messages.ApplyStatus(ctx, event)
		must(t, err)
	}
	_, _, err = s.messages.Accepted(ctx, acme, f.key(1, 2))
	must(t, err)
	_, err = s.messages.Settle(ctx, acme, f.workflowID, f.messageID)
	must(t, err)
	_, err = s.messages.Unpriced(ctx, time.Hour, 10)
	must(t, err)
	f.finish(t, domain.OutcomeReplied, "")
	for _, id := range []string{f.workflowID, f.messageID, sid} {
		_, err = s.messages.Trace(ctx, id)
		must(t, err)
	}
	out := outbound("Good morning")
	for range 2 { // recorded, then found
		recorded, err := s.messages.RecordOutbound(ctx, out)
		must(t, err)
		f = flow{s, recorded.MessageID, out.WorkflowID, ""}
	}
	f.reserve(t)
	f.begin(t, 1, 1)
	_, err = s.messages.Sought(ctx, acme, f.key(1, 1), false)
	must(t, err)
	f.giveUp(t, domain.OutcomeExpired, "")
	_, err = s.messages.Unfinished(ctx, time.Hour, 100)
	must(t, err)
	_, err = s.messages.LeftUnanswered(ctx, acme, f.messageID)
	must(t, err)
	_, err = s.messages.Doubtful(ctx, time.Hour, 100)
	must(t, err)
	_, err = s.messages.LookedInVain(ctx, acme, f.key(1, 1), time.Hour)
	must(t, err)
	f.apply(t, callback(f.key(1, 1), newSid(), domain.StatusSent, 0)) // its end is mended
	_, _, err = s.directory.ResolveSender(ctx, account, domain.Address{Channel: domain.ChannelSMS, Value: ourNumber})
	must(t, err)
}

// readWhole returns the tables of a plan that are read from end to end.
func readWhole(plan any) (tables []string) {
	switch node := plan.(type) {
	case []any:
		for _, child := range node {
			tables = append(tables, readWhole(child)...)
		}
	case map[string]any:
		table, _ := node["Relation Name"].(string)
		if node["Node Type"] == "Seq Scan" && slices.Contains(grown(), table) {
			tables = append(tables, table)
		}
		for _, child := range node {
			tables = append(tables, readWhole(child)...)
		}
	}
	return tables
}

// statements remembers every statement that a pool sends, once.
type statements struct {
	mu   sync.Mutex
	list []pgx.TraceQueryStartData
}

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	s.add(data)
	return ctx
}

func (s *statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (s *statements) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	for _, query := range data.Batch.QueuedQueries {
		s.add(pgx.TraceQueryStartData{SQL: query.SQL, Args: query.Arguments})
	}
	return ctx
}

func (s *statements) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (s *statements) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

func (s *statements) add(data pgx.TraceQueryStartData) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := slices.ContainsFunc(s.list, func(d pgx.TraceQueryStartData) bool { return d.SQL == data.SQL })
	if control := data.SQL == "begin" || data.SQL == "commit" || data.SQL == "rollback"; !known && !control {
		s.list = append(s.list, data)
	}
}
