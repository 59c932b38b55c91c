package migrations_test

import (
	"database/sql"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver

	"parley/internal/testkit"
	"parley/migrations"
)

func open(t *testing.T, databaseURL string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", databaseURL)
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// list returns the only column of every row of a query.
func list(t *testing.T, db *sql.DB, query string, args ...any) (values []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query, args...)
	must(t, err)
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var value string
		must(t, rows.Scan(&value))
		values = append(values, value)
	}
	must(t, rows.Err())
	return values
}

func tables(t *testing.T, db *sql.DB) []string {
	t.Helper()
	return list(t, db, `SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace ORDER BY 1`)
}

// schema is every column, constraint and index of the database as text.
func schema(t *testing.T, db *sql.DB) string {
	t.Helper()
	return strings.Join(list(t, db, `
		SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' || coalesce(column_default, '')
			FROM information_schema.columns WHERE table_schema = 'public'
		UNION ALL SELECT conrelid::regclass || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
		UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
		ORDER BY 1`), "\n")
}

func TestUpDownUp(t *testing.T) {
	t.Parallel()
	db := open(t, testkit.EmptyPostgres(t))
	up := func() string {
		version, err := migrations.Up(t.Context(), db)
		must(t, err)
		if version != migrations.Latest() || version < 1 {
			t.Fatalf("version %d, want %d", version, migrations.Latest())
		}
		return schema(t, db)
	}
	first := up()
	if again := up(); again != first {
		t.Errorf("a second Up changed the schema")
	}
	if made := tables(t, db); !slices.Equal(made, migrations.Tables()) {
		t.Errorf("made %v, and says that it makes %v", made, migrations.Tables())
	}
	must(t, migrations.DownTo(t.Context(), db, 0))
	if left := tables(t, db); !slices.Equal(left, []string{"goose_db_version", "goose_lock"}) {
		t.Errorf("Down left %v", left)
	}
	if second := up(); second != first {
		t.Errorf("Up after Down makes another schema:\n%s\nwant\n%s", second, first)
	}
}

func TestVersionIsReadWithoutAChange(t *testing.T) {
	t.Parallel()
	db := open(t, testkit.EmptyPostgres(t))
	version := func() int64 {
		version, err := migrations.Version(t.Context(), db)
		must(t, err)
		return version
	}
	if got := version(); got != 0 || tables(t, db) != nil {
		t.Errorf("version %d of an empty database, and then tables %v", got, tables(t, db))
	}
	_, err := migrations.Up(t.Context(), db)
	must(t, err)
	if got := version(); got != migrations.Latest() {
		t.Errorf("version %d, want %d", got, migrations.Latest())
	}
	must(t, migrations.DownTo(t.Context(), db, 1))
	if got := version(); got != 1 {
		t.Errorf("version %d, want 1", got)
	}
}

// Deny by default: only the role that owns the tables reads them.
func TestEveryTableHasRowLevelSecurityAndNoPolicy(t *testing.T) {
	t.Parallel()
	db := open(t, testkit.Postgres(t))
	if bare := list(t, db, `
		SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace AND NOT relrowsecurity`); bare != nil {
		t.Errorf("without row level security: %v", bare)
	}
	if policies := list(t, db, `SELECT tablename || ' ' || policyname FROM pg_policies`); policies != nil {
		t.Errorf("policies: %v", policies)
	}
}

// The columns that the design names.
func TestColumns(t *testing.T) {
	t.Parallel()
	db := open(t, testkit.Postgres(t))
	for table, columns := range map[string]string{
		"contacts": "owner_id channel address",
		"pairs":    "owner_id channel our_address their_address next_seq locked_until lock_message lock_part lock_attempt unit unit_period",
		"messages": "message_id owner_id contact_id workflow_id direction account_sid twilio_sid from_address to_address body media seq in_reply_to " +
			"part reply_state status status_rank error_code segments idempotency_key created_at received_at",
		"drafts":         "message_id answers body fixed",
		"message_events": "owner_id account_sid twilio_sid status",
		"send_attempts":  "message_id part attempt twilio_sid status status_rank error_code post_before answer_before last_part",
		"ledger":         "owner_id workflow_id kind meter quantity period",
		"usage":          "owner_id meter period used reserved",
		"subscriptions":  "owner_id plan_id state",
		"plan_quotas":    "plan_id meter quota",
		"consents":       "owner_id channel sender address state source changed_at",
		"consent_events": "owner_id channel sender address state source reason created_at",
		"conversations":  "owner_id pair_id contact_id previous_id state last_message_at closed_at",
		"ai_runs":        "provider model input_tokens output_tokens latency_ms",
		"senders":        "account_sid channel address owner_id",
		"webhook_spool":  "account_sid message_sid received received_at due_at",
		"unrouted":       "account_sid message_sid received received_at reason",
	} {
		has := list(t, db, `SELECT column_name::text FROM information_schema.columns WHERE table_schema = 'public' AND table_name = $1`, table)
		for _, column := range strings.Fields(columns) {
			if !slices.Contains(has, column) {
				t.Errorf("%s has no %s", table, column)
			}
		}
	}
	unique := list(t, db, `
		SELECT c.conrelid::regclass || ' ' || string_agg(a.attname, ' ' ORDER BY a.attname)
		FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)
		WHERE c.contype = 'u' GROUP BY c.oid, c.conrelid`)
	for _, want := range []string{
		"messages account_sid twilio_sid", "messages idempotency_key owner_id", "messages in_reply_to part",
		"send_attempts account_sid twilio_sid", "contacts address channel owner_id",
		"pairs channel our_address owner_id their_address",
	} {
		if !slices.Contains(unique, want) {
			t.Errorf("not unique: %s", want)
		}
	}
	if byHash := list(t, db, `
		SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'drafts'::regclass AND indisunique AND indpred IS NULL
			AND pg_get_indexdef(indexrelid) LIKE '%(message_id, hash_array_extended(answers, %'`); len(byHash) != 1 { // the answers themselves may be too many for an index
		t.Errorf("drafts: unique by message and answers: %v", byHash)
	}
	if times := list(t, db, `
		SELECT table_name || '.' || column_name FROM information_schema.columns
		WHERE table_schema = 'public' AND data_type LIKE 'timestamp without%' AND table_name NOT LIKE 'goose%'`); times != nil {
		t.Errorf("times without a zone: %v", times)
	}
}

// Several processes start at once on a new database: each finds it migrated, and none waits longer than its turn.
func TestUpFromSeveralProcessesAtOnce(t *testing.T) {
	t.Parallel()
	databaseURL := testkit.EmptyPostgres(t)
	const processes = 4
	var group sync.WaitGroup
	for range processes {
		db := open(t, databaseURL) // each with connections of its own
		group.Go(func() {
			if version, err := migrations.Up(t.Context(), db); err != nil || version != migrations.Latest() {
				t.Errorf("version %d, %v", version, err)
			}
		})
	}
	group.Wait()
	if made := tables(t, open(t, databaseURL)); !slices.Equal(made, migrations.Tables()) {
		t.Errorf("made %v, want %v", made, migrations.Tables())
	}
}

// A pooler in transaction mode gives each transaction another session: a lock that belongs to a session would be lost, or
// never be given back. So there is none, neither while migrations run nor while another process waits for them. And one
// that waits goes on soon after.
func TestWaitingForAnotherProcess(t *testing.T) {
	t.Parallel()
	databaseURL := testkit.EmptyPostgres(t)
	db := open(t, databaseURL)
	hindrance, err := db.BeginTx(t.Context(), nil)
	must(t, err)
	_, err = hindrance.ExecContext(t.Context(), `CREATE TABLE owners ()`) // the first migration waits to see whether this is committed
	must(t, err)

	ended := make(chan error, 2)
	start := func() {
		own := open(t, databaseURL)
		go func() {
			_, err := migrations.Up(t.Context(), own)
			ended <- err
		}()
	}
	start()
	testkit.EventuallyTrue(t, time.Minute, "the first process is in the middle of its work", func() bool {
		return list(t, db, `SELECT 'waits' FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) != nil
	})
	start()
	time.Sleep(300 * time.Millisecond) // the second process asks for its turn in this time
	if locks := list(t, db, `
		SELECT mode FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`); locks != nil {
		t.Errorf("locks of a session: %v", locks)
	}
	if len(ended) > 0 {
		t.Errorf("a process did not wait: %v", <-ended)
	}

	must(t, hindrance.Rollback())
	must(t, <-ended)
	done := time.Now()
	must(t, <-ended)
	if waited := time.Since(done); waited > 20*time.Second { // about a second on an idle machine; a lock that nobody gave back lasts 30 s
		t.Errorf("the second process waited %s", waited)
	}
	if made := tables(t, db); !slices.Equal(made, migrations.Tables()) {
		t.Errorf("made %v, want %v", made, migrations.Tables())
	}
}
