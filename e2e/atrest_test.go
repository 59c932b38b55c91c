package e2e_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/jackc/pgx/v5"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"parley/contract"
	"parley/internal/localstack"
	"parley/internal/testkit"
)

// marker is written in clear, to see that it is found.
const marker = "grumblefitz"

// After messages that went every way, what Temporal keeps on its disk holds nothing that was said, to whom, or with which token, and
// what Postgres holds no token. Each of both is searched for something that was put there too.
func TestNothingSecretIsStoredInClear(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{OwnServers: true, Settings: []string{"delivery_check=1m"}}) // no check is part of a usual history
	said, keys := exchange(t, s), keysOf(t, s)

	plantInTemporal(t, s)
	files := filesOf(t, s.TemporalServer.Folder)
	if len(files["temporal.db"]) == 0 || len(files["temporal.db-wal"]) == 0 {
		t.Fatal("Temporal's database and its log are not among what was read")
	}
	search(t, "Temporal's files", files, append(said, keys...))

	s.TemporalServer.Stop()
	const spooled = "the shibboleth is mumpsimus"
	s.Say(s.Customer(), spooled)
	if n := count(t, s, `SELECT count(*) FROM webhook_spool`); n != 1 {
		t.Fatalf("%d messages are spooled, want 1", n)
	}
	plantInPostgres(t, s)
	search(t, "Postgres", tablesOf(t, s.DatabaseURL), append(keys, spooled)) // the other messages are there, in clear
}

// exchange lets messages go every way, and returns what was said and to whom.
func exchange(t *testing.T, s *testkit.Stack) (said []string) {
	t.Helper()
	say := func(person, body string) (workflowID string) {
		said = append(said, body, strings.TrimPrefix(person, "+"))
		return s.WorkflowID(s.Say(person, body))
	}
	answered, refused, mended, parked, stopped := s.Customer(), "+15005550001", s.Customer(), s.Customer(), s.Customer()
	workflowID := say(answered, "is the quibblewort ripe by saturday")
	awaitOutcome(t, s, workflowID, "replied")
	said = append(said, "scripted answer", strings.TrimPrefix(s.Company, "+")) // the reply's own words
	withinTheLimit(t, s, workflowID)

	const ours = "your snollygoster was repaired"
	s.TryStarter("send", "--from", s.Company, "--to", refused, "--body", ours, "--key", "k") // Twilio's error repeats the number
	said = append(said, ours, strings.TrimPrefix(refused, "+"))
	awaitOutcome(t, s, contract.OutboundWorkflowID(s.OwnerID, "k"), "failed")

	for _, person := range []string{mended, parked} {
		s.Script(testkit.Rule{To: person, StatusCode: http.StatusUnauthorized, Code: 20003})
	}
	workflowID = say(mended, "the widdershins gate is open")
	park := awaitParked(t, s, workflowID, contract.Send.Name)
	const failure = "did not accept the account's auth token"
	if said = append(said, failure); !strings.Contains(park.Reason, failure) {
		t.Errorf("parked because of %q, want %q", park.Reason, failure)
	}
	s.Script(testkit.Rule{To: mended})
	retryAsInTheUI(t, s, workflowID, park.Name)
	awaitOutcome(t, s, workflowID, "replied")

	awaitParked(t, s, say(parked, "taradiddle or not"), contract.Send.Name)
	testkit.Eventually(t, soon, func() error { // the list of flows lags
		found, err := s.Temporal.Client.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{
			Query: contract.SearchStage.GetName() + " = '" + string(contract.StageParked) + "'",
		})
		if err == nil && found.GetCount() != 1 {
			err = fmt.Errorf("flows with the stage parked: %d, want 1", found.GetCount())
		}
		return err
	})

	awaitOutcome(t, s, s.WorkflowID(s.Say(stopped, "STOP")), "consent")
	return append(said, strings.TrimPrefix(stopped, "+"))
}

// withinTheLimit holds a flow's history against docs/operations.md.
func withinTheLimit(t *testing.T, s *testkit.Stack, workflowID string) {
	t.Helper()
	var events, size int64
	testkit.Eventually(t, soon, func() error {
		description, err := s.Temporal.Client.DescribeWorkflowExecution(t.Context(), workflowID, "")
		if err != nil {
			return err
		}
		info := description.GetWorkflowExecutionInfo()
		if events, size = info.GetHistoryLength(), info.GetHistorySizeBytes(); info.GetCloseTime() == nil {
			return errors.New("it is not closed")
		}
		return nil
	})
	t.Logf("history of one flow: %d events, %d bytes", events, size)
	if events > 64 || size > 13_000 {
		t.Errorf("history of one flow: %d events, %d bytes, want at most 64 and 13000", events, size)
	}
}

// clear returns a client that encrypts nothing, as Temporal's UI is one.
func clear(t *testing.T, s *testkit.Stack) client.Client {
	t.Helper()
	c, err := localstack.DialTemporal(s.Temporal.Address, s.Temporal.Name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func retryAsInTheUI(t *testing.T, s *testkit.Stack, workflowID, park string) {
	t.Helper()
	update, err := clear(t, s).UpdateWorkflow(t.Context(), client.UpdateWorkflowOptions{
		WorkflowID: workflowID, UpdateName: contract.RetryCommand, Args: []any{contract.Command{Park: park}},
		WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err == nil {
		err = update.Get(t.Context(), nil)
	}
	if err != nil {
		t.Errorf("a command in clear: %v", err)
	}
}

// keysOf returns the account's token and the keys of both keysets.
func keysOf(t *testing.T, s *testkit.Stack) (keys []string) {
	t.Helper()
	keys = append(keys, s.AuthToken)
	for _, file := range []string{s.KeysetFile, s.PayloadKeysetFile} {
		content := readFile(t, file)
		var keyset struct {
			Key []struct{ KeyData struct{ Value string } }
		}
		if err := json.Unmarshal(content, &keyset); err != nil || len(keyset.Key) == 0 {
			t.Fatalf("%s has no key: %v", file, err)
		}
		for _, key := range keyset.Key {
			if len(key.KeyData.Value) < 20 {
				t.Fatalf("%s has an empty key", file)
			}
			keys = append(keys, strings.TrimRight(key.KeyData.Value, "="))
		}
	}
	return keys
}

// plantInTemporal has a flow begin whose input is the marker in every form, in clear. It is repeated, since a database cuts what is long
// into pages.
func plantInTemporal(t *testing.T, s *testkit.Stack) {
	t.Helper()
	var inputs []any
	for _, form := range forms(marker) {
		inputs = append(inputs, bytes.Repeat(append(form.bytes, 0xff), 20))
	}
	if _, err := clear(t, s).ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "planted", TaskQueue: "planted"}, "Planted", inputs...); err != nil {
		t.Fatal(err)
	}
}

func plantInPostgres(t *testing.T, s *testkit.Stack) {
	t.Helper()
	execute(t, s, `CREATE TABLE planted (place text, form bytea)`)
	for _, form := range forms(marker) {
		execute(t, s, `INSERT INTO planted VALUES ($1, $2)`, form.name, form.bytes)
	}
	execute(t, s, `UPDATE owners SET name = $1`, marker)
}

// search looks for secrets, and for the marker in every form.
func search(t *testing.T, what string, places map[string][]byte, secrets []string) {
	t.Helper()
	size := 0
	for place, content := range places {
		size += len(content)
		for _, secret := range secrets {
			for _, form := range forms(secret) {
				if i := bytes.Index(content, form.bytes); i >= 0 {
					t.Errorf("%s: %s holds %q (%s): %q", what, place, secret, form.name, content[max(0, i-80):min(len(content), i+80)])
				}
			}
		}
	}
	for _, form := range forms(marker) {
		found := false
		for _, content := range places {
			found = found || bytes.Contains(content, form.bytes)
		}
		if !found {
			t.Errorf("%s: what was planted there (%s) is not found", what, form.name)
		}
	}
	t.Logf("%s: %d bytes in %d places were searched for %d secrets", what, size, len(places), len(secrets))
}

type form struct {
	name  string
	bytes []byte
}

// forms returns the ways in which a text may be written.
func forms(text string) []form {
	var wide []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		wide = binary.LittleEndian.AppendUint16(wide, unit)
	}
	list := []form{
		{"as it is", []byte(text)}, {"hexadecimal", []byte(hex.EncodeToString([]byte(text)))}, {"UTF-16, of either order", wide[:len(wide)-1]},
	}
	for before := range 3 { // as part of something longer it looks different by where it stands; what its neighbours have a part in is left out
		padded := append(make([]byte, before), text...)
		encoded := base64.RawStdEncoding.EncodeToString(padded)
		list = append(list, form{fmt.Sprintf("base64, %d before", before), []byte(encoded[(before*8+5)/6 : len(padded)*8/6])})
	}
	return list
}

// filesOf returns all files in a folder.
func filesOf(t *testing.T, folder string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	root := os.DirFS(folder)
	if err := fs.WalkDir(root, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files[path], err = fs.ReadFile(root, path)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return files
}

// tablesOf returns all rows of each column of a database: as text, bytes as they are.
func tablesOf(t *testing.T, databaseURL string) map[string][]byte {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close(t.Context()) }()
	columns, err := connection.Query(t.Context(), `
		SELECT table_name, column_name, data_type = 'bytea' FROM information_schema.columns WHERE table_schema = 'public'`)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(columns, pgx.RowToStructByPos[struct {
		Table, Name string
		Bytes       bool
	}])
	if err != nil {
		t.Fatal(err)
	}
	places := map[string][]byte{}
	for _, column := range list {
		table, value := pgx.Identifier{column.Table}.Sanitize(), pgx.Identifier{column.Name}.Sanitize()
		if !column.Bytes {
			value = "convert_to(" + value + "::text, 'UTF8')"
		}
		var content []byte
		if err := connection.QueryRow(t.Context(), `SELECT coalesce(string_agg(`+value+`, '\xff'::bytea), '') FROM `+table).Scan(&content); err != nil {
			t.Fatalf("%s.%s: %v", column.Table, column.Name, err)
		}
		places[column.Table+"."+column.Name] = content
	}
	return places
}
