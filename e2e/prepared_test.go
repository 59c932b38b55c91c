package e2e_test

import (
	"testing"

	"parley/internal/testkit"
)

// Where statements are prepared, a schema that changes under them costs no message: what was prepared before is prepared anew.
func TestPreparedStatementsOutliveAChangeOfTheSchema(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{AsDeployed: true})
	answered(t, s)
	execute(t, s, `ALTER TABLE messages ALTER COLUMN body TYPE varchar`)
	execute(t, s, `ALTER TABLE owners ALTER COLUMN name TYPE varchar`)
	execute(t, s, `ALTER TABLE senders ALTER COLUMN owner_id TYPE varchar`)
	answered(t, s)
	answered(t, s)
}
