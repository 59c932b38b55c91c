package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/internal/domain"
)

// ownClock gives the test's database a clock of its own, which functions of the same names put before Postgres's. Messages come by it, and
// do not expire: their deadlines are by another.
const ownClock = `
	CREATE SCHEMA travel;
	CREATE TABLE travel.ahead (by interval NOT NULL);
	INSERT INTO travel.ahead VALUES ('0');
	CREATE FUNCTION travel.now() RETURNS timestamptz STABLE LANGUAGE sql AS 'SELECT pg_catalog.now() + by FROM travel.ahead';
	CREATE FUNCTION travel.clock_timestamp() RETURNS timestamptz VOLATILE LANGUAGE sql AS 'SELECT pg_catalog.clock_timestamp() + by FROM travel.ahead';
	CREATE FUNCTION travel.arrive() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN NEW.deadline := ''infinity''; NEW.received_at := travel.clock_timestamp(); RETURN NEW; END';
	CREATE TRIGGER arrive BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION travel.arrive();
	DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = travel, public, pg_catalog', current_database()); END $$`

// newTraveller is a store whose time is the test's: see at.
func newTraveller(t *testing.T) *store {
	t.Helper()
	s := newStore(t)
	_, err := s.pool.Exec(t.Context(), ownClock, pgx.QueryExecModeSimpleProtocol)
	must(t, err)
	s.pool.Reset()
	return s
}

// at makes it a time of the database.
func (s *store) at(t *testing.T, moment string) {
	t.Helper()
	_, err := s.pool.Exec(t.Context(), `UPDATE travel.ahead SET by = $1::timestamptz - pg_catalog.now()`, moment)
	must(t, err)
}

// used returns acme's usage of a month, in the words of the command line's: replies, then segments, each as "used + reserved of quota".
func (s *store) used(t *testing.T, month string) (text string) {
	t.Helper()
	s.balanced(t)
	at, err := time.Parse("2006-01", month)
	must(t, err)
	list, err := s.directory.Usage(t.Context(), acme, at)
	must(t, err)
	for _, usage := range list {
		equal(t, "month", usage.Period, at)
		text += fmt.Sprintf("%d + %d, ", usage.Used, usage.Reserved)
	}
	return text
}

// What is reserved in one month, charged in the next and credited in a third belongs to the first, entry by entry: no other month's quota
// pays for it.
func TestAMessageAcrossTheEdgesOfMonths(t *testing.T) {
	t.Parallel()
	s := newTraveller(t)
	s.subscribe(t, "active", map[domain.Meter]int{domain.MeterReplies: 1, domain.MeterSegments: 1})
	s.at(t, "2031-01-31 23:58:00Z")
	f := s.inbound(t, "Hello", "An answer")
	f.reserve(t)
	f.begin(t, 1, 1)
	equal(t, "January", s.used(t, "2031-01"), "0 + 1, 0 + 1, ")

	s.at(t, "2031-02-01 00:00:01Z")
	sid := newSid()
	f.resolve(t, 1, 1, accepted(sid))
	_, err := s.messages.Settle(t.Context(), acme, f.workflowID, f.messageID)
	must(t, err)
	equal(t, "January", s.used(t, "2031-01"), "1 + 0, 1 + 0, ")
	equal(t, "February", s.used(t, "2031-02"), "0 + 0, 0 + 0, ")

	s.at(t, "2031-03-01 00:00:00Z")
	f.apply(t, callback(f.key(1, 1), sid, domain.StatusFailed, 30008))
	f.finish(t, domain.OutcomeReplied, "")
	equal(t, "January", s.used(t, "2031-01"), "0 + 0, 0 + 0, ")
	equal(t, "March", s.used(t, "2031-03"), "0 + 0, 0 + 0, ")
	f.apply(t, callback(f.key(1, 1), sid, domain.StatusDelivered, 0)) // after all
	f.finish(t, domain.OutcomeReplied, "")
	equal(t, "January", s.used(t, "2031-01"), "1 + 0, 1 + 0, ")
	equal(t, "months that the ledger names", value[string](t, s, `SELECT string_agg(DISTINCT to_char(period, 'YYYY-MM'), ' ') FROM ledger`), "2031-01")
	month, err := s.directory.Ledger(t.Context(), acme, domain.LedgerSearch{Month: time.Date(2031, 3, 9, 0, 0, 0, 0, time.UTC)})
	must(t, err)
	equal(t, "entries of March", len(month), 0)
}

// A quota that is used up is there again with the first second of the next month, UTC, for all that comes then: also for a turn that began
// before. A unit that was taken before the edge is the turn's own still.
func TestAQuotaIsThereAgainWithTheNextMonth(t *testing.T) {
	t.Parallel()
	s := newTraveller(t)
	s.subscribe(t, "active", map[domain.Meter]int{domain.MeterReplies: 1})
	s.at(t, "2031-01-31 23:58:00Z")
	older := s.inbound(t, "Hello", "An answer")
	older.reserve(t)
	other := s.another().inbound(t, "Hello", "An answer")
	s.at(t, "2031-01-31 23:59:00Z")
	equal(t, "in January", other.tryReserve(t), domain.QuotaUsedUp)

	s.at(t, "2031-02-01 00:00:00Z")
	equal(t, "in February", other.finish(t, domain.OutcomeOverQuota, "").Void, true)
	newer := s.inbound(t, "Are you there?", "To both")
	newer.reserve(t)
	equal(t, "the older one's claim", older.ask(t, patient), domain.ClaimSuperseded)
	for _, f := range []flow{newer, other} {
		equal(t, "claim", f.ask(t, patient), domain.ClaimGranted)
		f.resolve(t, 1, 1, accepted(newSid()))
		equal(t, "outcome", f.finish(t, domain.OutcomeReplied, "").Outcome, domain.OutcomeReplied)
	}
	equal(t, "January: the turn that began in it", s.used(t, "2031-01"), "1 + 0, 0 + 0, ")
	equal(t, "February", s.used(t, "2031-02"), "1 + 0, 2 + 0, ")
	equal(t, "one more in February", s.another().inbound(t, "Hello", "").tryReserve(t), domain.QuotaUsedUp)
}

// An unknown send whose flow was over, and that turns up in the next month, is charged to the month that it was reserved in.
func TestWhatTurnsUpInTheNextMonth(t *testing.T) {
	t.Parallel()
	s := newTraveller(t)
	s.subscribe(t, "active", map[domain.Meter]int{domain.MeterReplies: 1})
	s.at(t, "2031-01-31 23:00:00Z")
	f := s.inbound(t, "Hello", "An answer")
	f.reserve(t)
	f.lose(t, 1, 1)
	f.finish(t, domain.OutcomeAbandoned, "")
	equal(t, "kept, since it may have been sent", s.used(t, "2031-01"), "0 + 1, 0 + 1, ")
	s.at(t, "2031-02-01 00:10:00Z")
	f.apply(t, callback(f.key(1, 1), newSid(), domain.StatusDelivered, 0))
	equal(t, "January", s.used(t, "2031-01"), "1 + 0, 1 + 0, ")
	equal(t, "February", s.used(t, "2031-02"), "0 + 0, 0 + 0, ")
}
